"""Write the folder of a deployment: the app, everybody's keys and settings, and how to start it all."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType

import yaml

from simulator.core.errors import wrong
from simulator.core.user_code.files import CODE, UserFile, check_kept, texts
from simulator.deployment.addresses import Addresses
from simulator.deployment.instructions import START, app_project, connection, readme
from simulator.deployment.mailbox_process import FILE as MAILBOX_FILE
from simulator.deployment.mailbox_process import MailboxSettings
from simulator.deployment.run_manifest import RunManifest
from simulator.deployment.site.data_paths import data_block
from simulator.deployment.transport.certificates import MAILBOX, Authority, Identity, name_of, supernode_key
from simulator.deployment.transport.sealing import sealing_key
from topologies import Topology

SECRET = stat.S_IRUSR | stat.S_IWUSR
PRIVATE = stat.S_IRWXU  # folders: a node's state is its model


def write_folder(
    out: Path,
    experiment: str,
    manifest: RunManifest,
    topology: Topology,
    addresses: Addresses,
    files: Sequence[UserFile] = (),
    data: Mapping[int, Path | None] = MappingProxyType({}),
    largest: int = 0,
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

    Raises:
        InputError: the folder exists or cannot be written.
    """
    try:
        out.mkdir(PRIVATE, parents=True)
        _write_all(out, experiment, manifest, topology, addresses, data, largest)
        for folder in (out, *(out / "nodes" / name_of(node) for node in range(topology.num_nodes))):
            for name, text in texts(files).items():
                _write(folder / CODE / name, text)
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
) -> None:
    authority = Authority(out.name)
    _write(out / "experiment.yaml", experiment)
    _write(out / "README.md", readme(manifest, addresses, own_data=bool(data)))
    _write(out / "app" / "pyproject.toml", app_project(manifest))
    _write(out / "app" / "README.md", "The app is part of the package rumormill; this is its configuration.\n")
    _write(out / "authority" / "ca.crt", authority.certificate)
    _write(out / "authority" / "ca.key", authority.key, secret=True)
    _write_superlink(out / "superlink", authority, addresses)
    if addresses.mailbox:
        _write_mailbox(out / "superlink", authority, manifest, addresses, largest)
    supernodes = [supernode_key() for _ in range(topology.num_nodes)]
    keys = [sealing_key() for _ in range(topology.num_nodes)]
    for node, (private, _) in enumerate(keys):
        folder, around = out / "nodes" / name_of(node), topology.neighbours(node)
        settings = {
            "node": node,
            "listen": addresses.nodes[node],
            "neighbours": {other: addresses.nodes[other] for other in around},
            "keys": {other: keys[other][1].hex() for other in around},
            "superlink": addresses.public,
            **({"mailbox": addresses.mailbox} if addresses.mailbox else {}),
            "runtime": addresses.runtimes[node],
        }
        own = data_block(data[node]) if node in data else ""
        _write(folder / "node.yaml", yaml.safe_dump(settings, sort_keys=False) + own)
        _write(folder / "experiment.yaml", experiment)
        _write(folder / "seal.key", private, secret=True)
        _write_identity(folder, authority.issue(name_of(node)), "node")
        _write(folder / "supernode", supernodes[node][0], secret=True)
        _write(folder / "start.sh", START, executable=True)
        for place in (folder / "supernode.pub", out / "superlink" / "supernodes" / f"{name_of(node)}.pub"):
            _write(place, supernodes[node][1])


def _write_superlink(folder: Path, authority: Authority, addresses: Addresses) -> None:
    """The SuperLink is known by addresses of its own host alone, and the gateway by the one that nodes are given."""
    _write_identity(folder, authority.issue("superlink", ["localhost", _host(addresses.superlink)]), "superlink")
    _write_identity(folder, authority.issue("gateway", [_host(addresses.public)]), "gateway")
    settings = {"superlink": addresses.superlink, "listen": addresses.listen, "public": addresses.public}
    _write(folder / "superlink.yaml", yaml.safe_dump(settings, sort_keys=False))
    _write(folder / "home" / "config.toml", connection(addresses.superlink, str((folder / "ca.crt").absolute())))
    _write(folder / "superexec.secret", os.urandom(48), secret=True)
    _write(folder / "start.sh", START, executable=True)


def _write_mailbox(
    folder: Path, authority: Authority, manifest: RunManifest, addresses: Addresses, largest: int
) -> None:
    """The mailbox is known by its name alone, wherever it is."""
    _write_identity(folder, authority.issue(MAILBOX), MAILBOX)
    settings = MailboxSettings(addresses.mailbox_listen, addresses.mailbox, manifest.edges, manifest.exchanges, largest)
    _write(folder / MAILBOX_FILE, yaml.safe_dump(asdict(settings), sort_keys=False))


def _host(address: str) -> str:
    return address.rpartition(":")[0]


def _write_identity(folder: Path, identity: Identity, name: str) -> None:
    _write(folder / "ca.crt", identity.authority)
    _write(folder / f"{name}.crt", identity.certificate)
    _write(folder / f"{name}.key", identity.key, secret=True)


def _write(file: Path, content: str | bytes, secret: bool = False, executable: bool = False) -> None:
    file.parent.mkdir(PRIVATE, parents=True, exist_ok=True)
    file.touch(SECRET if secret else 0o755 if executable else 0o644)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
