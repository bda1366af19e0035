"""Who is who on a connection: this node's certificate and key, and what it knows of its neighbours'."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from simulator.core.errors import wrong
from simulator.deployment.files import read, read_secret
from simulator.deployment.keys.certificate import Certificate, bearing, issued_by
from simulator.deployment.keys.revocation import Revoked

NEIGHBOURS = "neighbours"  # of a node's folder: their certificates, as "node-N.crt"
MAILBOX = "mailbox"  # what the certificate of a mailbox says who it is
ADVICE = "Make new keys on the node's host (`rumormill site renew FOLDER`), and have the organiser sign them."
CLOCK = "Is this host's clock right? If it is, ask the organiser for a new certificate."
DER, INFO = Encoding.DER, PublicFormat.SubjectPublicKeyInfo


def name_of(node: int) -> str:
    """What a node's certificate says who it is."""
    return f"node-{node}"


@dataclass(frozen=True)
class Identity:
    """What a node shows its neighbours, and what they have to show.

    Attributes:
        authority: whose certificates both ends of a connection trust, PEM.
        certificate: of this node, PEM.
        key: its private key, PEM.
        neighbours: the certificates of neighbours that the folder holds; they may have newer ones.
        revoked: the numbers of certificates that do not count any more.
    """

    authority: bytes
    certificate: bytes
    key: bytes
    neighbours: Mapping[int, Certificate] = field(default_factory=dict)
    revoked: frozenset[int] = frozenset()

    @classmethod
    def read(cls, folder: Path, name: str = "node") -> Identity:
        """From ``ca.crt``, ``revoked.crl``, ``neighbours/``, ``node.crt`` and ``node.key`` in ``folder``.

        The last two may be of another ``name``.

        Raises:
            InputError: a file is missing, is none, was not issued by the authority; or others can read the key.
        """
        authority, certificate = (read(folder / file, ADVICE) for file in ("ca.crt", f"{name}.crt"))
        key, revoked = read_secret(folder / f"{name}.key", ADVICE), Revoked.read(folder, authority)
        return cls(authority, certificate, key, known_neighbours(folder, authority), revoked.serials)

    @property
    def own(self) -> Certificate:
        """What the node's certificate says.

        Raises:
            InputError: it is none.
        """
        try:
            return Certificate.of(self.certificate)
        except ValueError as error:
            raise wrong("node.crt", f"is no certificate: {error}.", ADVICE) from error

    @property
    def revoked_neighbours(self) -> set[int]:
        """Those whose certificate, as far as this node knows it, has been revoked."""
        return {node for node, known in self.neighbours.items() if known.serial in self.revoked}

    def wanted(self, node: int) -> str:
        """The name that the certificate of a neighbour must bear, which revoked ones do not."""
        if node not in self.neighbours:
            return name_of(node)
        generation = self.neighbours[node].generation + (node in self.revoked_neighbours)
        return bearing(name_of(node), generation)

    def check(self, name: str) -> None:
        """Whether the neighbours would believe that this is ``name``.

        Raises:
            InputError: the certificate is somebody else's or another authority's, of another key, has expired, is not
                valid yet, or has been revoked.
        """
        own, now = self.own, datetime.now(UTC)
        if own.name != name:
            raise wrong("node.crt", f"is the certificate of {own.name}, not of {name}.", ADVICE)
        if own.ends < now:
            raise wrong("node.crt", f"the certificate of {name} expired on {own.ends:%Y-%m-%d}.", ADVICE)
        if own.begins > now:
            what = f"the certificate of {name} is not valid before {own.begins:%Y-%m-%d %H:%M} UTC."
            raise wrong("node.crt", what, CLOCK)
        if not issued_by(self.certificate, self.authority):
            raise wrong("node.crt", f"the certificate of {name} was not issued by ca.crt.", ADVICE)
        if _public(self.key) != own.key:
            raise wrong("node.crt", f"the certificate of {name} is of another key than node.key.", ADVICE)
        if own.serial in self.revoked:
            raise wrong("node.crt", f"the certificate of {name} has been revoked.", ADVICE)


def known_neighbours(folder: Path, authority: bytes) -> dict[int, Certificate]:
    """The certificates in ``neighbours/`` of a node's ``folder``.

    Raises:
        InputError: one is none, is of another node than its file is named after, seals nothing, or was not issued by
            the ``authority``.
    """
    found = {}
    for file in sorted((folder / NEIGHBOURS).glob("node-*.crt")):
        known = Certificate.read(file, authority)
        number = file.stem.removeprefix("node-")
        if known.name != file.stem or not number.isdecimal() or known.sealing is None:
            raise wrong(str(file), f"is the certificate of {known.name}, and not that of {file.stem}.", ADVICE)
        found[int(number)] = known
    return found


@lru_cache(maxsize=1024)  # a neighbour shows the same one with every question
def key_digest(certificate: bytes) -> str:
    """The SHA-256 of the public key of a certificate, PEM, as a hexadecimal number: what it is pinned by."""
    return hashlib.sha256(x509.load_pem_x509_certificate(certificate).public_key().public_bytes(DER, INFO)).hexdigest()


@lru_cache(maxsize=1024)
def serial_of(certificate: bytes) -> int:
    """The number of a certificate, PEM: what it is revoked by."""
    return x509.load_pem_x509_certificate(certificate).serial_number


def _public(key: bytes) -> bytes:
    """The public key of a private one, PEM.

    Raises:
        InputError: it is none.
    """
    try:
        return load_pem_private_key(key, None).public_key().public_bytes(DER, INFO)
    except (ValueError, TypeError) as error:
        raise wrong("node.key", f"is no private key: {error}.", ADVICE) from error
