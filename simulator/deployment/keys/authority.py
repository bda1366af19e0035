"""The authority of a deployment: it issues certificates, and says which of them do not count any more."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from simulator.core.errors import wrong
from simulator.deployment.files import read, read_secret
from simulator.deployment.keys.certificate import bearing
from simulator.deployment.keys.request import SEALING, Request
from simulator.deployment.keys.revocation import Revoked
from simulator.deployment.keys.spoken import spoken
from simulator.deployment.transport.certificates import Identity

VALID, OWN = timedelta(days=365), timedelta(days=3650)  # of what it issues, and of itself
ADVICE = "Give the deployment's folder, with `authority/` in it, that `rumormill deploy init` made."
PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
INFO = serialization.PublicFormat.SubjectPublicKeyInfo


class Authority:
    """Issues certificates; its key is needed for nothing else, and should be kept away from all hosts.

    Args:
        deployment: what the new authority is one of.
        made: its key and certificate, where there is one already.
    """

    def __init__(
        self, deployment: str, made: tuple[ec.EllipticCurvePrivateKey, x509.Certificate] | None = None
    ) -> None:
        self._key, self._own = made or _new(f"{deployment} authority"[:64])

    @classmethod
    def read(cls, folder: Path) -> Authority:
        """From ``ca.crt`` and ``ca.key`` in ``folder``.

        Raises:
            InputError: they are not there, do not belong together, or others can read the key.
        """
        try:
            own = x509.load_pem_x509_certificate(read(folder / "ca.crt", ADVICE))
            key = serialization.load_pem_private_key(read_secret(folder / "ca.key", ADVICE), None)
            if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != own.public_key():
                raise ValueError("ca.key is not the key of ca.crt")
        except (ValueError, TypeError) as error:
            raise wrong(str(folder), f"does not hold the authority of a deployment: {error}.", ADVICE) from error
        return cls("", (key, own))

    @property
    def certificate(self) -> bytes:
        """What everybody has to know, as PEM."""
        return self._own.public_bytes(PEM)

    @property
    def key(self) -> bytes:
        """What nobody else may know, as PEM."""
        return _private_pem(self._key)

    def issue(self, name: str, addresses: Sequence[str] = (), valid: timedelta = VALID) -> Identity:
        """A new key and a certificate of ``name``, for both ends of a connection.

        Args:
            name: whose.
            addresses: names or numbers of hosts that it also holds for.
            valid: for how long; it ended in the past where that is negative.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._certified(name, key.public_key(), [name, *addresses], valid)
        return Identity(self.certificate, certificate, _private_pem(key))

    def certify(self, request: Request, generation: int = 0, valid: timedelta = VALID) -> bytes:
        """The certificate that a node asks for, PEM, after the node was revoked ``generation`` times."""
        names = [request.name, *(bearing(request.name, each) for each in range(generation + 1))]
        info = X25519PublicKey.from_public_bytes(request.sealing).public_bytes(DER, INFO)
        return self._certified(request.name, request.tls, names, valid, x509.UnrecognizedExtension(SEALING, info))

    def revoking(self, before: Revoked, serials: Iterable[int]) -> bytes:
        """The list that follows the one ``before``, with some ``serials`` more, PEM."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._own.subject)
            .last_update(now - timedelta(minutes=5))  # clocks differ
            .next_update(self._own.not_valid_after_utc)
            .add_extension(x509.CRLNumber(before.number + 1), critical=False)
        )
        for serial in sorted({*before.serials, *serials}):
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
            )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(PEM)

    def _certified(
        self,
        name: str,
        key: ec.EllipticCurvePublicKey,
        names: Sequence[str],
        valid: timedelta,
        *extensions: x509.ExtensionType,
    ) -> bytes:
        builder = _builder(_name(name), self._own.subject, key, valid)
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(both), critical=False)
            .add_extension(x509.SubjectAlternativeName([_general(each) for each in names]), critical=False)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(PEM)


def authority_fingerprint(certificate: bytes) -> str:
    """Of an authority's certificate, PEM, in words."""
    return spoken(x509.load_pem_x509_certificate(certificate).public_bytes(DER))


def _new(name: str) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_name(name), _name(name), key.public_key(), OWN)
    own = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return key, own.add_extension(_usage(signs=True), critical=True).sign(key, hashes.SHA256())


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


def _usage(signs: bool) -> x509.KeyUsage:
    """Of the authority, whose key ``signs`` certificates and lists, or of those that it issues."""
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(address))
    except ValueError:
        return x509.DNSName(address)


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
