"""Where a deployed node's noise and masks come from: a secret of its own, and one for each pair that both can derive.

HKDF-SHA256 of the node's static X25519 key, and of what it has with another's by Diffie-Hellman, be that a neighbour or
one that shares a receiver with it; other numbers for every run, so that noise is never used twice.
"""

from __future__ import annotations

from collections.abc import Mapping

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from simulator.core.secrets import Secrets

PURPOSE = b"rumormill noise 1"


def noise_secrets(run: str, node: int, private: bytes, public: Mapping[int, bytes]) -> Secrets:
    """Those of ``node`` for one run.

    Args:
        run: of the deployment.
        node: whose.
        private: its key, 32 bytes.
        public: the others' keys, 32 bytes each.
    """
    own = X25519PrivateKey.from_private_bytes(private)
    links = {}
    for other, key in public.items():
        ends = "-".join(map(str, sorted((node, other))))
        links[other] = _derived(own.exchange(X25519PublicKey.from_public_bytes(key)), run, ends)
    return Secrets(_derived(private, run, "own"), links)


def _derived(material: bytes, run: str, whose: str) -> int:
    info = b"|".join((PURPOSE, run.encode(), whose.encode()))
    return int.from_bytes(HKDF(hashes.SHA256(), 32, salt=None, info=info).derive(material))
