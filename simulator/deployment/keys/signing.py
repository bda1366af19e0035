"""The organiser's part: certificates for the keys that hosts have made, and the end of those that must not count."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from simulator.core.errors import wrong
from simulator.deployment.files import write
from simulator.deployment.keys.certificate import Certificate
from simulator.deployment.keys.issued import Issued, places_of_lists
from simulator.deployment.keys.request import Request
from simulator.deployment.transport.certificates import NEIGHBOURS, name_of

SUPERNODES = "superlink/supernodes"  # of a deployment's folder: what the SuperLink knows nodes by


class Signed(NamedTuple):
    """What has been signed, and what is to be sent.

    Attributes:
        request: of the site.
        certificate: of its node.
        parcels: which files, below the deployment's folder, have to go to whose host.
        unsigned: nodes that have no certificate yet.
    """

    request: Request
    certificate: Certificate
    parcels: dict[str, list[str]]
    unsigned: list[str]


def sign(folder: Path, node: str, file: Path, renew: bool = False) -> Signed:
    """Certify the keys in the request ``file``, in the ``folder`` of a deployment.

    Args:
        folder: the deployment's, with its authority.
        node: which one they are to be of: "node-2", or "2".
        file: the site's request.
        renew: whether the node may have a certificate of another key.

    Raises:
        InputError: there is no such node; the request is none, of another node, or has been changed; its keys are
            another node's, or were revoked; or the node has other keys.
    """
    issued, request = Issued(folder), Request.read(file)
    number = issued.node(node)
    if request.name != name_of(number):
        what = f"is a request of {request.name}, not of {name_of(number)}."
        raise wrong(str(file), what, "Sign it as the node that it is of, or ask the right site for its own.")
    _check_keys(issued, number, request, file, renew)
    generations = [each.generation + 1 for each in issued.revoked_of(number)]
    pem = issued.authority.certify(request, max(generations, default=0))
    issued.keep(pem)
    return _placed(issued, number, request, pem)


def revoke(folder: Path, node: str) -> tuple[list[Certificate], dict[str, list[str]]]:
    """End all certificates that the ``node`` has been given; returns them, and what is to be sent to whose host.

    Raises:
        InputError: there is no such node, or it has no certificate that counts.
    """
    issued = Issued(folder)
    number = issued.node(node)
    ended = [each for each in issued.of(number) if each.serial not in issued.revoked.serials]
    if not ended:
        what = f"{name_of(number)} has no certificate that has not been revoked."
        raise wrong("NODE", what, "`rumormill deploy sign` gives it a new one.")
    text = issued.authority.revoking(issued.revoked, [each.serial for each in ended])
    for place in places_of_lists(folder, issued.manifest.nodes):
        write(place, text)
    (folder / SUPERNODES / f"{name_of(number)}.pub").unlink(missing_ok=True)
    others = [name_of(other) for other in range(issued.manifest.nodes) if other != number]
    parcels = {other: [f"nodes/{other}/revoked.crl"] for other in others}
    gone = f"{SUPERNODES}/ (without {name_of(number)}.pub: remove it there)"
    return ended, {"the SuperLink": ["superlink/revoked.crl", gone], **parcels}


def _check_keys(issued: Issued, node: int, request: Request, file: Path, renew: bool) -> None:
    """Whether these keys may be the node's.

    Raises:
        InputError: they may not.
    """
    if any(request.key == each.key or request.sealing == each.sealing for each in issued.revoked_of(node)):
        what = f"asks for a key of {request.name} that has been revoked."
        raise wrong(str(file), what, "Have the site make all keys anew: rumormill site renew FOLDER --all.")
    for other in set(range(issued.manifest.nodes)) - {node}:
        theirs, file_of = issued.current(other), issued.folder / SUPERNODES / f"{name_of(other)}.pub"
        same = file_of.exists() and file_of.read_bytes() == request.supernode
        if same or (theirs and (request.key == theirs.key or request.sealing == theirs.sealing)):
            what = f"asks for a key that {name_of(other)} has."
            raise wrong(str(file), what, "Have the site make keys of its own: rumormill site init FOLDER.")
    before = issued.current(node)
    if before and before.key != request.key and not renew:
        what = f"asks for another key than the one that {request.name} has a certificate of since {before.begins:%F}."
        advice = "Compare its fingerprint with the site's; if the site has renewed its keys, add --renew."
        raise wrong(str(file), what, f"{advice} It is: {request.fingerprint}")


def _placed(issued: Issued, node: int, request: Request, pem: bytes) -> Signed:
    """The certificate and the public keys written to where they are needed; only what has changed is to be sent.

    Neighbours go on with the certificate that they have, where it says the same of sealing and revocations.
    """
    name, place, own = name_of(node), issued.place(node), Certificate.of(pem)
    around = [name_of(other) for other in (*issued.manifest.neighbours(node), *issued.manifest.co_senders(node))]
    known = [issued.folder / "nodes" / other / NEIGHBOURS / f"{name}.crt" for other in around]
    files = {
        **{(file.parts[-3], str(file.relative_to(issued.folder))): pem for file in known if not _same(file, own)},
        ("the SuperLink", f"{SUPERNODES}/{name}.crt"): pem,
        ("the SuperLink", f"{SUPERNODES}/{name}.pub"): request.supernode,
    }
    write(place / "node.crt", pem)
    write(place / "supernode.pub", request.supernode)
    parcels: dict[str, list[str]] = {name: [f"nodes/{name}/"]}
    for (who, file), content in files.items():
        if not _is(issued.folder / file, content):
            write(issued.folder / file, content)
            parcels.setdefault(who, []).append(file)
    unsigned = [name_of(other) for other in range(issued.manifest.nodes) if issued.current(other) is None]
    return Signed(request, own, parcels, unsigned)


def _same(file: Path, own: Certificate) -> bool:
    """Whether the certificate in ``file`` is as good to a neighbour as a node's ``own``."""
    before = Certificate.read(file) if file.exists() else None
    return before is not None and (before.sealing, before.generation) == (own.sealing, own.generation)


def _is(file: Path, content: bytes) -> bool:
    return file.exists() and file.read_bytes() == content
