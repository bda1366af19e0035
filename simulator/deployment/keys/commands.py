"""The commands about keys: ``rumormill site init``, ``renew``, ``join``; ``rumormill deploy sign``, ``revoke``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simulator.core.paths import located

if TYPE_CHECKING:
    from simulator.deployment.keys.request import Request

Keys = Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the node's keys are: from `rumormill site init`.")]
Deployment = Annotated[
    Path, typer.Argument(metavar="DEPLOYMENT", help="With authority/, from `rumormill deploy init`.")
]
Node = Annotated[str, typer.Argument(metavar="NODE", help="Which one: node-2.")]


def init_command(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder to make, in which the keys stay.")],
    node: Annotated[
        str | None, typer.Option("--node", help="Which node this host's is: node-2; default: the folder's name.")
    ] = None,
) -> None:
    """Make a node's private keys on this host, and the request that its organiser signs, which holds no secret."""
    from simulator.deployment.keys import on_the_host
    from simulator.deployment.keys.request import FILE

    folder = located(folder, where="FOLDER")
    _tell_request(folder / FILE, on_the_host.init(folder, node))


def renew_command(
    folder: Keys,
    everything: Annotated[
        bool, typer.Option("--all", help="Also the keys for sealing and of the SuperNode, between two runs.")
    ] = False,
) -> None:
    """Make a new key for the node's certificate, and a request; the old one counts until the new one is joined."""
    from simulator.deployment.keys import on_the_host
    from simulator.deployment.keys.request import FILE

    folder = located(folder, where="FOLDER")
    request = on_the_host.renew(folder, everything)
    _tell_request(folder / on_the_host.RENEWED / FILE, request)


def join_command(
    folder: Keys,
    signed: Annotated[Path, typer.Argument(metavar="SIGNED", help="The node's folder, as the organiser sent it.")],
) -> None:
    """Take what the organiser has signed into the folder of the keys, which is the node's from then on."""
    from simulator.deployment.keys import on_the_host
    from simulator.deployment.keys.authority import authority_fingerprint

    folder, signed = located(folder, where="FOLDER"), located(signed, where="SIGNED")
    certificate, changed = on_the_host.join(folder, signed)
    print(f"{folder} is the folder of {certificate.name}; its certificate ends on {certificate.ends:%Y-%m-%d}.")
    print(f"New or changed: {', '.join(changed) or 'nothing'}.")
    print(f"The authority's fingerprint: {authority_fingerprint((folder / 'ca.crt').read_bytes())}")
    print("Compare it with the organiser's, then start the node: start.sh in its folder.")


def sign_command(
    folder: Deployment,
    node: Node,
    request: Annotated[Path, typer.Argument(metavar="REQUEST", help="The site's request.csr.")],
    renew: Annotated[bool, typer.Option("--renew", help="The node has a certificate, and has made a new key.")] = False,
) -> None:
    """Certify the keys that a node's host has made, and say which files go where."""
    from simulator.deployment.keys import signing

    folder, request = located(folder, where="DEPLOYMENT"), located(request, where="REQUEST")
    signed = signing.sign(folder, node, request, renew)
    print(f"Signed: {signed.certificate.name}, until {signed.certificate.ends:%Y-%m-%d}.")
    print(f"The request's fingerprint: {signed.request.fingerprint}")
    print("Compare it with the site's before anything is sent.")
    _tell_parcels(signed.parcels)
    if signed.unsigned:
        print(f"Without a certificate yet: {', '.join(signed.unsigned)}.")


def revoke_command(folder: Deployment, node: Node) -> None:
    """End all certificates of a node: its neighbours turn it away from their next phase on, once they have the list."""
    from simulator.deployment.keys import signing

    folder = located(folder, where="DEPLOYMENT")
    ended, parcels = signing.revoke(folder, node)
    print(f"Revoked: the certificates of {ended[0].name}, {len(ended)} in number. What has left for it has left.")
    _tell_parcels(parcels)


def _tell_request(file: Path, request: Request) -> None:
    print(f"Send the organiser {file}, and nothing else: it asks for a certificate of {request.name}.")
    print(f"Its fingerprint, to be compared with the organiser's: {request.fingerprint}")


def _tell_parcels(parcels: Mapping[str, Sequence[str]]) -> None:
    for who, files in parcels.items():
        print(f"To the host of {who}: {', '.join(files)}")
