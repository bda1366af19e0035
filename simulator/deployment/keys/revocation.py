"""Which certificates do not count any more: a list that the deployment's authority signs, and every folder has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from simulator.core.errors import wrong
from simulator.deployment.files import read

FILE = "revoked.crl"
ADVICE = "Ask the organiser for the list again: it stands in the folder of the deployment."


@dataclass(frozen=True)
class Revoked:
    """A list of revoked certificates (an X.509 CRL).

    Attributes:
        number: it counts up with every list of the deployment.
        serials: of the certificates.
    """

    number: int = 0
    serials: frozenset[int] = frozenset()

    @classmethod
    def read(cls, folder: Path, authority: bytes) -> Revoked:
        """From ``folder``.

        Args:
            folder: of a node, of the SuperLink, or of the authority.
            authority: its certificate, PEM.

        Raises:
            InputError: the list is not there, is none, or was not signed by the authority.
        """
        file = folder / FILE
        content = read(file, ADVICE)
        try:
            found, issuer = x509.load_pem_x509_crl(content), x509.load_pem_x509_certificate(authority)
            signed = found.issuer == issuer.subject and found.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
            number = found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        except (ValueError, TypeError, x509.ExtensionNotFound) as error:
            raise wrong(str(file), f"is no list of revoked certificates: {error}.", ADVICE) from error
        if not signed:
            raise wrong(str(file), "was not signed by the authority in ca.crt.", ADVICE)
        return cls(number, frozenset(each.serial_number for each in found))
