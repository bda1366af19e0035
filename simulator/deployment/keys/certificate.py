"""What a certificate says: whose it is, of which keys, for how long, and how often its node was revoked before."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from cryptography.x509.oid import NameOID

from simulator.core.errors import wrong
from simulator.deployment.files import read
from simulator.deployment.keys.request import SEALING

AGAIN = "Ask the organiser for it again: `rumormill deploy sign` has written it."


@dataclass(frozen=True)
class Certificate:
    """A certificate of a deployment's authority.

    Attributes:
        name: whose it is: "node-2".
        serial: its number.
        key: the public key, DER.
        sealing: the node's public key for sealing, 32 bytes; None of those that seal nothing.
        generation: how often the node had been revoked when it was issued.
        begins: when it begins to count.
        ends: when it ends to.
        pem: itself.
    """

    name: str
    serial: int
    key: bytes
    sealing: bytes | None
    generation: int
    begins: datetime
    ends: datetime
    pem: bytes

    @classmethod
    def of(cls, pem: bytes) -> Certificate:
        """What ``pem`` says.

        Raises:
            ValueError: it is no certificate, or none of a node or a SuperLink.
        """
        found = x509.load_pem_x509_certificate(pem)
        names = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        if not names:
            raise ValueError("it bears no name")
        name = str(names[0].value)
        return cls(
            name=name,
            serial=found.serial_number,
            key=found.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
            sealing=_sealing(found),
            generation=_generation(found, name),
            begins=found.not_valid_before_utc,
            ends=found.not_valid_after_utc,
            pem=pem,
        )

    @classmethod
    def read(cls, file: Path, authority: bytes | None = None) -> Certificate:
        """From ``file``.

        Args:
            file: PEM.
            authority: its certificate, by which this one has to be issued; None: by any.

        Raises:
            InputError: it cannot be read, is no certificate, or was issued by somebody else.
        """
        content = read(file, AGAIN)
        try:
            found = cls.of(content)
        except ValueError as error:
            raise wrong(str(file), f"is no certificate: {error}.", AGAIN) from error
        if authority is not None and not issued_by(content, authority):
            raise wrong(str(file), f"the certificate of {found.name} was not issued by ca.crt.", AGAIN)
        return found


def issued_by(certificate: bytes, authority: bytes) -> bool:
    """Whether the ``certificate`` was issued by the ``authority``, both PEM."""
    try:
        issuer = x509.load_pem_x509_certificate(authority)
        x509.load_pem_x509_certificate(certificate).verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def bearing(name: str, generation: int) -> str:
    """What a certificate of ``name`` bears beside that name: how often the node had been revoked when it was issued.

    A client of gRPC says which name it wants to see in a certificate, and is never shown the certificate: so it wants
    this one, which certificates that were revoked do not bear.
    """
    return f"{name}.{generation}"


def _generation(found: x509.Certificate, name: str) -> int:
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:  # the authority's own
        return 0
    bears = (re.fullmatch(rf"{re.escape(name)}\.(\d+)", each) for each in names.get_values_for_type(x509.DNSName))
    return max((int(each[1]) for each in bears if each), default=0)


def _sealing(found: x509.Certificate) -> bytes | None:
    try:
        value = found.extensions.get_extension_for_oid(SEALING).value
    except x509.ExtensionNotFound:
        return None
    assert isinstance(value, x509.UnrecognizedExtension)  # no library knows it
    key = load_der_public_key(value.value)
    return key.public_bytes_raw() if isinstance(key, X25519PublicKey) else None
