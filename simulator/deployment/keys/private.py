"""A node's private keys: three files that are made where they are used, and that their owner alone can read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from simulator.core.errors import wrong
from simulator.deployment.files import read_secret, write

TLS, SEALING, SUPERNODE = "node.key", "seal.key", "supernode"
FILES = (TLS, SEALING, SUPERNODE)
ADVICE = "Make the node's keys on its host: rumormill site init FOLDER."


class PrivateKeys(NamedTuple):
    """Those of one node.

    Attributes:
        tls: of its certificate; P-256.
        sealing: of what it seals, and of what its noise is drawn from.
        supernode: by which the SuperLink knows its SuperNode; P-384, as Flower wants it.
    """

    tls: ec.EllipticCurvePrivateKey
    sealing: X25519PrivateKey
    supernode: ec.EllipticCurvePrivateKey

    @classmethod
    def read(cls, folder: Path, renewed: Path | None = None) -> PrivateKeys:
        """From ``folder``, or, each that is there, from the one in which they are ``renewed``.

        Raises:
            InputError: one is missing, is none of its kind, or can be read by others than its owner.
        """
        files = [renewed / name if renewed and (renewed / name).exists() else folder / name for name in FILES]
        tls, sealing, supernode = (read_secret(file, ADVICE) for file in files)
        try:
            found = load_pem_private_key(tls, None), load_ssh_private_key(supernode, None)
            if not all(isinstance(key, ec.EllipticCurvePrivateKey) for key in found):
                raise ValueError("a key is of another kind")
            return cls(found[0], X25519PrivateKey.from_private_bytes(sealing), found[1])  # type: ignore[arg-type]
        except (ValueError, TypeError) as error:
            raise wrong(str(folder), f"does not hold the private keys of a node: {error}.", ADVICE) from error


def make_private_keys(folder: Path, names: Sequence[str] = FILES) -> None:
    """Write new keys into ``folder``: all, or those files among ``names``."""
    made = {
        TLS: ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        SEALING: sealing_key()[0],
        SUPERNODE: ec.generate_private_key(ec.SECP384R1()).private_bytes(
            Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()
        ),
    }
    for name in names:
        write(folder / name, made[name], secret=True)


def sealing_key() -> tuple[bytes, bytes]:
    """A new key for sealing, private and public, 32 bytes each."""
    key = X25519PrivateKey.generate()
    return key.private_bytes_raw(), key.public_key().public_bytes_raw()
