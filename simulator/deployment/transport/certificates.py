"""Who is who: one authority a deployment, a certificate for each node and for the SuperLink, keys for both planes."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from simulator.core.errors import wrong

VALID = timedelta(days=365)
ADVICE = "Make the deployment's folder anew with `rumormill deploy init`, and give every node its part of it."
MAILBOX = "mailbox"  # what the certificate of a mailbox says who it is
PEM = serialization.Encoding.PEM


def name_of(node: int) -> str:
    """What a node's certificate says who it is."""
    return f"node-{node}"


@dataclass(frozen=True)
class Identity:
    """A certificate, its key, and the authority that both ends of a connection trust; all as PEM."""

    authority: bytes
    certificate: bytes
    key: bytes

    @classmethod
    def read(cls, folder: Path, name: str = "node") -> Identity:
        """From ``ca.crt``, and ``node.crt`` and ``node.key``, or those of another ``name``, in ``folder``.

        Raises:
            InputError: a file is missing.
        """
        try:
            return cls(*((folder / name).read_bytes() for name in ("ca.crt", f"{name}.crt", f"{name}.key")))
        except OSError as error:
            raise wrong(str(error.filename), f"cannot be read: {error.strerror}.", ADVICE) from error

    def check(self, name: str) -> None:
        """Whether the neighbours would believe that this is ``name``.

        Raises:
            InputError: the certificate is somebody else's, has expired, or is another authority's.
        """
        certificate = x509.load_pem_x509_certificate(self.certificate)
        theirs = str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
        if theirs != name:
            raise wrong("node.crt", f"is the certificate of {theirs}, not of {name}.", ADVICE)
        until = certificate.not_valid_after_utc
        if until < datetime.now(UTC):
            raise wrong("node.crt", f"the certificate of {name} expired on {until:%Y-%m-%d}.", ADVICE)
        try:
            certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(self.authority))
        except (ValueError, TypeError, InvalidSignature) as error:
            raise wrong("node.crt", f"the certificate of {name} was not issued by ca.crt.", ADVICE) from error


def key_digest(certificate: bytes) -> str:
    """The SHA-256 of the public key of a certificate, PEM, as a hexadecimal number: what it is pinned by."""
    key = x509.load_pem_x509_certificate(certificate).public_key()
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


class Authority:
    """Issues certificates; its key is needed for nothing else, and should be kept away from all hosts."""

    def __init__(self, deployment: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{deployment} authority"[:64])])
        builder = _builder(self._name, self._name, self._key.public_key(), VALID)
        self._certificate = (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def certificate(self) -> bytes:
        """What everybody has to know, as PEM."""
        return self._certificate.public_bytes(PEM)

    @property
    def key(self) -> bytes:
        """What nobody else may know, as PEM."""
        return private_pem(self._key)

    def issue(self, name: str, addresses: Sequence[str] = (), valid: timedelta = VALID) -> Identity:
        """A certificate of ``name``, for both ends of a connection; also for ``addresses``, names or numbers."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        alternatives = x509.SubjectAlternativeName([_general(each) for each in (name, *addresses)])
        certificate = (
            _builder(subject, self._name, key.public_key(), valid)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(both), critical=False)
            .add_extension(alternatives, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return Identity(self.certificate, certificate.public_bytes(PEM), private_pem(key))


def supernode_key() -> tuple[bytes, bytes]:
    """A key by which the SuperLink knows a SuperNode, private and public, in OpenSSH's format as Flower wants it."""
    key = ec.generate_private_key(ec.SECP384R1())
    private = key.private_bytes(PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private, public


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key as PEM, without a password."""
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, valid: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    begin = min(now, now + valid) - timedelta(minutes=5)  # clocks differ
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(now + valid)
    )


def _usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)
