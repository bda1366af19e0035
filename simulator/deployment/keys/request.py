"""What a site sends its organiser, and all that it sends: a request for a certificate, which holds no secret.

It is one X.509 request (PKCS #10), signed by the key that it asks a certificate for. The other two public keys, for
sealing and of Flower's SuperNode, stand in it as extensions, each as a SubjectPublicKeyInfo.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from cryptography.x509.oid import NameOID

from simulator.core.errors import InputError, wrong
from simulator.deployment.files import read
from simulator.deployment.keys.private import PrivateKeys
from simulator.deployment.keys.spoken import spoken

FILE = "request.csr"
SEALING = x509.ObjectIdentifier("2.25.329800735698586629295641978511506172918")  # random ones, as 2.25 is for
SUPERNODE = x509.ObjectIdentifier("2.25.329800735698586629295641978511506172919")
UNUSABLE = (  # what reading a request raises that somebody has made by himself
    *(ValueError, TypeError, IndexError, UnsupportedAlgorithm),
    *(x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType),
)
ADVICE = "Ask the site for it again: it is what `rumormill site init` or `site renew` wrote there."


@dataclass(frozen=True)
class Request:
    """What it says.

    Attributes:
        name: of the node that it asks for.
        tls: the public key that the certificate is to be of.
        sealing: the public key for sealing, 32 bytes.
        supernode: the public key of its SuperNode, in OpenSSH's format.
        signed: the bytes that the request's signature is of.
    """

    name: str
    tls: ec.EllipticCurvePublicKey
    sealing: bytes
    supernode: bytes
    signed: bytes

    @property
    def key(self) -> bytes:
        """The public key of the certificate, DER."""
        return self.tls.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def fingerprint(self) -> str:
        """Of the name and the three keys, in words."""
        return spoken(self.signed)

    @classmethod
    def read(cls, file: Path) -> Request:
        """From ``file``.

        Raises:
            InputError: it is no such request, or its signature is not that of its key.
        """
        content = read(file, ADVICE)
        if b"PRIVATE KEY" in content:
            what = "holds a private key, which is nobody's secret any more once it has been sent."
            raise wrong(str(file), what, "Have the site make new keys, and send request.csr alone.")
        try:
            found = x509.load_pem_x509_csr(content)
            if not found.is_signature_valid:
                raise wrong(str(file), "has been changed: its signature is not that of its key.", ADVICE)
            return cls._of(found)
        except InputError:
            raise
        except UNUSABLE as error:
            raise wrong(str(file), f"is no request of a node: {error}.", ADVICE) from error

    @classmethod
    def _of(cls, found: x509.CertificateSigningRequest) -> Request:
        name = str(found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
        tls, sealing, supernode = found.public_key(), _extension(found, SEALING), _extension(found, SUPERNODE)
        if not isinstance(tls, ec.EllipticCurvePublicKey) or not isinstance(tls.curve, ec.SECP256R1):
            raise ValueError("its key is not on the curve P-256")
        if not isinstance(sealing, X25519PublicKey) or not isinstance(supernode, ec.EllipticCurvePublicKey):
            raise ValueError("the keys for sealing and of the SuperNode are of other kinds")
        X25519PrivateKey.generate().exchange(sealing)  # some points give everybody the same, which others refuse
        ssh = supernode.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        return cls(name, tls, sealing.public_bytes_raw(), ssh, found.tbs_certrequest_bytes)


def write_request(keys: PrivateKeys, name: str) -> bytes:
    """The request of the node ``name``, as PEM."""
    builder = x509.CertificateSigningRequestBuilder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
    for oid, key in ((SEALING, keys.sealing.public_key()), (SUPERNODE, keys.supernode.public_key())):
        info = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, info), critical=False)
    return builder.sign(keys.tls, hashes.SHA256()).public_bytes(Encoding.PEM)


def _extension(found: x509.CertificateSigningRequest, oid: x509.ObjectIdentifier) -> object:
    value = found.extensions.get_extension_for_oid(oid).value
    assert isinstance(value, x509.UnrecognizedExtension)  # no library knows these
    return load_der_public_key(value.value)
