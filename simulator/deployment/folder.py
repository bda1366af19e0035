"""Write the folder of a deployment: the app, everybody's keys and settings, and how to start it all."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType

import yaml

from simulator.core.errors import wrong
from simulator.core.user_code.files import CODE, UserFile, check_kept, texts
from simulator.deployment.addresses import Addresses, check_links
from simulator.deployment.files import EXPERIMENT, PRIVATE, write
from simulator.deployment.instructions import START, app_project, connection, readme
from simulator.deployment.keys.authority import Authority, authority_fingerprint
from simulator.deployment.keys.issued import places_of_lists
from simulator.deployment.keys.private import PrivateKeys, make_private_keys
from simulator.deployment.keys.request import FILE as REQUEST
from simulator.deployment.keys.request import write_request
from simulator.deployment.keys.revocation import Revoked
from simulator.deployment.keys.signing import sign
from simulator.deployment.mailbox_process import FILE as MAILBOX_FILE
from simulator.deployment.mailbox_process import MailboxSettings
from simulator.deployment.run_manifest import RunManifest
from simulator.deployment.site.data_paths import data_block
from simulator.deployment.transport.certificates import MAILBOX, Identity, name_of
from topologies import Topology


def write_folder(
    out: Path,
    experiment: str,
    manifest: RunManifest,
    topology: Topology,
    addresses: Addresses,
    files: Sequence[UserFile] = (),
    data: Mapping[int, Path | None] = MappingProxyType({}),
    largest: int = 0,
    lab_keys: bool = True,
) -> None:
    """Write a deployment into the new folder ``out``.

    A node executes the files that lie in its own folder, and no others: they come to its host as its keys do, by hand,
    and never in a message. By its name in the experiment, each must have the hash that all nodes have agreed on.

    Args:
        out: the folder.
        experiment: the file that all nodes get.
        manifest: of the run.
        topology: who is whose neighbour.
        addresses: where everything listens.
        files: of the user's, that the experiment names.
        data: where nodes are sites, the path of each one's own data on its host; None where its owner is to fill it in.
        largest: bytes of the longest message, as it travels, where there is a mailbox.
        lab_keys: whether the nodes' private keys are made here, too, as in a lab where one person owns all hosts; else
            each host makes its own, and they are signed one after the other (`simulator.deployment.keys.signing`).

    Raises:
        InputError: the folder exists or cannot be written, or neighbours cannot reach each other.
    """
    if manifest.plane == "p2p":
        check_links(dict(enumerate(addresses.nodes)), manifest.links, "--host")
    try:
        out.mkdir(PRIVATE, parents=True)
        _write_all(out, experiment, manifest, topology, addresses, data, largest, lab_keys)
        if lab_keys:
            for node in range(topology.num_nodes):
                _sign_own(out, name_of(node))
        for folder in (out, *(out / "nodes" / name_of(node) for node in range(topology.num_nodes))):
            for name, text in texts(files).items():
                write(folder / CODE / name, text)
            check_kept(files, folder)
    except FileExistsError as error:
        raise wrong(str(out), "exists already.", "Choose another folder.") from error
    except OSError as error:
        raise wrong(str(out), f"cannot be written: {error.strerror}.", "Choose a folder you may write to.") from error


def _write_all(
    out: Path,
    experiment: str,
    manifest: RunManifest,
    topology: Topology,
    addresses: Addresses,
    data: Mapping[int, Path | None],
    largest: int,
    lab_keys: bool,
) -> None:
    authority = Authority(out.name)
    write(out / EXPERIMENT, experiment)
    words = authority_fingerprint(authority.certificate)
    write(out / "README.md", readme(manifest, addresses, words, bool(data), lab_keys))
    write(out / "app" / "pyproject.toml", app_project(manifest))
    write(out / "app" / "README.md", "The app is part of the package rumormill; this is its configuration.\n")
    write(out / "authority" / "ca.crt", authority.certificate)
    write(out / "authority" / "ca.key", authority.key, secret=True)
    _write_superlink(out / "superlink", authority, addresses)
    if addresses.mailbox:
        _write_mailbox(out / "superlink", authority, manifest, addresses, largest)
    for node in range(topology.num_nodes):
        folder = out / "nodes" / name_of(node)
        settings = {
            "node": node,
            "listen": addresses.nodes[node],
            "neighbours": {other: addresses.nodes[other] for other in topology.neighbours(node)},
            **({"co_senders": others} if (others := manifest.co_senders(node)) else {}),
            "superlink": addresses.public,
            **({"mailbox": addresses.mailbox} if addresses.mailbox else {}),
            "runtime": addresses.runtimes[node],
        }
        own = data_block(data[node]) if node in data else ""
        write(folder / "node.yaml", yaml.safe_dump(settings, sort_keys=False) + own)
        write(folder / EXPERIMENT, experiment)
        write(folder / "ca.crt", authority.certificate)
        write(folder / "start.sh", START, executable=True)
    nobody = authority.revoking(Revoked(), ())
    for place in places_of_lists(out, topology.num_nodes):
        write(place, nobody)


def _sign_own(out: Path, name: str) -> None:
    """The part of a node's host, and the organiser's, in one place."""
    own = out / "nodes" / name
    make_private_keys(own)
    write(own / REQUEST, write_request(PrivateKeys.read(own), name))
    sign(out, name, own / REQUEST)


def _write_superlink(folder: Path, authority: Authority, addresses: Addresses) -> None:
    """The SuperLink is known by addresses of its own host alone, and the gateway by the one that nodes are given."""
    _write_identity(folder, authority.issue("superlink", ["localhost", _host(addresses.superlink)]), "superlink")
    _write_identity(folder, authority.issue("gateway", [_host(addresses.public)]), "gateway")
    settings = {"superlink": addresses.superlink, "listen": addresses.listen, "public": addresses.public}
    write(folder / "superlink.yaml", yaml.safe_dump(settings, sort_keys=False))
    write(folder / "home" / "config.toml", connection(addresses.superlink, str((folder / "ca.crt").absolute())))
    write(folder / "superexec.secret", os.urandom(48), secret=True)
    write(folder / "start.sh", START, executable=True)


def _write_mailbox(
    folder: Path, authority: Authority, manifest: RunManifest, addresses: Addresses, largest: int
) -> None:
    """The mailbox is known by its name alone, wherever it is."""
    _write_identity(folder, authority.issue(MAILBOX), MAILBOX)
    settings = MailboxSettings(addresses.mailbox_listen, addresses.mailbox, manifest.edges, manifest.exchanges, largest)
    write(folder / MAILBOX_FILE, yaml.safe_dump(asdict(settings), sort_keys=False))


def _host(address: str) -> str:
    return address.rpartition(":")[0]


def _write_identity(folder: Path, identity: Identity, name: str) -> None:
    write(folder / "ca.crt", identity.authority)
    write(folder / f"{name}.crt", identity.certificate)
    write(folder / f"{name}.key", identity.key, secret=True)
