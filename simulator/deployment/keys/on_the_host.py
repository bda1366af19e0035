"""A site's part: keys that are made on its host and stay there, what it asks for, and what it takes from what comes."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from simulator.core.errors import wrong
from simulator.deployment.files import EXPERIMENT, PRIVATE, read, read_secret, write
from simulator.deployment.instructions import START
from simulator.deployment.keys.certificate import AGAIN, Certificate
from simulator.deployment.keys.private import ADVICE, FILES, TLS, PrivateKeys, make_private_keys
from simulator.deployment.keys.request import FILE as REQUEST
from simulator.deployment.keys.request import Request, write_request
from simulator.deployment.keys.revocation import FILE as LIST
from simulator.deployment.keys.revocation import Revoked
from simulator.deployment.node_folder import NodeFolder
from simulator.deployment.transport.certificates import NEIGHBOURS, Identity, known_neighbours, name_of

RENEWED = "renewed"  # of a node's folder: keys that are not its own yet, and the request for them
CODE = "code"
PUBLIC = ("ca.crt", "node.crt", LIST, "supernode.pub", EXPERIMENT)
NAME = re.compile(r"node-(0|[1-9]\d*)")


def init(folder: Path, name: str | None = None) -> Request:
    """Make the private keys of a node in the new ``folder``, and the request for its certificate.

    Args:
        folder: where they are to stay.
        name: of the node, as the organiser says; None: that of the folder.

    Raises:
        InputError: the folder exists or cannot be written, or there is no such name of a node.
    """
    name = name or folder.name
    if not NAME.fullmatch(name):
        what = f"'{name}' is no name of a node."
        raise wrong("--node", what, "Say which one this host's is, as the organiser calls it: --node node-2.")
    try:
        folder.mkdir(PRIVATE, parents=True)
        make_private_keys(folder)
        write(folder / REQUEST, write_request(PrivateKeys.read(folder), name))
    except FileExistsError as error:
        advice = "Choose another folder; for new keys of a node that has some: rumormill site renew FOLDER."
        raise wrong(str(folder), "exists already.", advice) from error
    except OSError as error:
        raise wrong(str(folder), f"cannot be written: {error.strerror}.", "Choose one you may write to.") from error
    return Request.read(folder / REQUEST)


def renew(folder: Path, everything: bool = False) -> Request:
    """Make new keys beside those of the node in ``folder``, which go on until the new ones are signed and joined.

    Args:
        folder: the node's.
        everything: whether also the key for sealing and the SuperNode's, which a run that is under way does not bear.

    Raises:
        InputError: there are no keys of a node.
    """
    PrivateKeys.read(folder)
    name = Request.read(folder / REQUEST).name
    shutil.rmtree(folder / RENEWED, ignore_errors=True)
    make_private_keys(folder / RENEWED, FILES if everything else (TLS,))
    request = write_request(PrivateKeys.read(folder, folder / RENEWED), name)
    write(folder / RENEWED / REQUEST, request)
    return Request.read(folder / RENEWED / REQUEST)


def join(folder: Path, signed: Path) -> tuple[Certificate, list[str]]:
    """Take what the organiser has ``signed`` into the ``folder`` of the node's keys, which becomes the node's.

    Private keys that the certificate is of come into force with it. What the site's own people have written into
    ``node.yaml`` stays; a script that comes along is not taken.

    Returns:
        The certificate, and which files are new or others than before.

    Raises:
        InputError: it is of another node, of other keys or another authority, or holds private keys; its certificate
            does not count; or its list of revoked certificates is older than the one that is there.
    """
    request, fresh = Request.read(folder / REQUEST), folder / RENEWED
    theirs = NodeFolder.read(signed)
    if travelled := [name for name in FILES if (signed / name).exists()]:
        what = f"holds private keys: {', '.join(travelled)}. Whoever has made or carried them has them, too."
        raise wrong(str(signed), what, "Send the organiser this host's request, and have that signed.")
    if name_of(theirs.node) != request.name:
        what = f"is the folder of {name_of(theirs.node)}, and these keys are of {request.name}."
        raise wrong(str(signed), what, "Ask the organiser for the folder of this host's node.")
    renewed = fresh.exists() and _is_of(signed, Request.read(fresh / REQUEST))
    if not renewed and not _is_of(signed, request):
        what = f"the certificate of {request.name} in it is of other keys than this host's."
        raise wrong(str(signed / "node.crt"), what, "Have the organiser sign the request that this host has made.")
    _check(folder, signed, fresh / TLS if renewed else folder / TLS, request.name)
    names = [*_files(signed), *(name for name in ("node.yaml",) if not (folder / name).exists())]
    changed = _taken(folder, signed, names)
    if renewed:
        for file in sorted(fresh.iterdir()):
            file.replace(folder / file.name)
        fresh.rmdir()
    write(folder / "start.sh", START, executable=True)
    return Certificate.read(folder / "node.crt"), changed


def _is_of(signed: Path, request: Request) -> bool:
    """Whether the certificate that was signed is of the keys of ``request``."""
    own = Certificate.read(signed / "node.crt")
    return own.key == request.key and own.sealing == request.sealing


def _check(folder: Path, signed: Path, key: Path, name: str) -> None:
    """Whether the node could take part with what was ``signed``.

    Raises:
        InputError: it could not.
    """
    authority = read(signed / "ca.crt", AGAIN)
    own = folder / "ca.crt"
    if own.exists() and own.read_bytes() != authority:
        what = f"is of another authority than the one that {name} has joined."
        raise wrong(str(signed / "ca.crt"), what, "For another deployment, make keys of its own: rumormill site init.")
    known, revoked = known_neighbours(signed, authority), Revoked.read(signed, authority)
    Identity(authority, read(signed / "node.crt", AGAIN), read_secret(key, ADVICE), known, revoked.serials).check(name)
    if (folder / LIST).exists() and Revoked.read(folder, authority).number > revoked.number:
        what = "is older than the list of revoked certificates that this host has."
        raise wrong(str(signed / LIST), what, "Ask the organiser for the folder as it is now.")
    NodeFolder.read(signed).certificates()


def _files(signed: Path) -> Sequence[str]:
    """What is taken, whatever was there before."""
    below = (f"{part}/{file.name}" for part in (NEIGHBOURS, CODE) for file in sorted((signed / part).glob("*.*")))
    return [*PUBLIC, *below]


def _taken(folder: Path, signed: Path, names: Sequence[str]) -> list[str]:
    changed = []
    for name in names:
        content, own = read(signed / name, AGAIN), folder / name
        if not own.exists() or own.read_bytes() != content:
            write(own, content)
            changed.append(name)
    return changed
