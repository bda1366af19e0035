"""Write the folder of a deployment: the app, everybody's keys and settings, and how to start it all."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import yaml

from simulator.core.errors import wrong
from simulator.core.user_code.files import CODE, UserFile, check_kept, texts
from simulator.deployment.instructions import app_project, connection, node_script, readme, superlink_script
from simulator.deployment.run_manifest import RunManifest
from simulator.deployment.site.data_paths import data_block
from simulator.deployment.transport.certificates import Authority, Identity, name_of, supernode_key
from simulator.deployment.transport.sealing import sealing_key
from topologies import Topology

SECRET = stat.S_IRUSR | stat.S_IWUSR
PRIVATE = stat.S_IRWXU  # folders: a node's state is its model
HOST = r"[A-Za-z0-9_.-]+"


@dataclass(frozen=True)
class Addresses:
    """Where everything listens, as "host:port".

    Attributes:
        superlink: the SuperLink, for nodes and for the command line.
        nodes: each node, for its neighbours.
        runtimes: ports of the SuperNodes' own processes, on loopback.
    """

    superlink: str
    nodes: Sequence[str]
    runtimes: Sequence[int]

    @classmethod
    def planned(cls, superlink: str, hosts: Sequence[str] | None, nodes: int, first_port: int) -> Addresses:
        """Nodes on ``hosts``, in order (None: on loopback); ports count up, so that nodes may share a host.

        Raises:
            InputError: there are not as many hosts as nodes, an address is none, or would pass for a node.
        """
        hosts = hosts or ["127.0.0.1"] * nodes
        if len(hosts) != nodes:
            raise wrong("--host", f"{len(hosts)} hosts for {nodes} nodes.", "Give one for each node, in order.")
        for host in hosts:
            if not re.fullmatch(HOST, host):
                raise wrong("--host", f"'{host}' is no host.", "Give a name or a number, without a port.")
        _check_superlink(superlink)
        ports = range(first_port, first_port + 2 * nodes)
        if not 0 < first_port <= ports[-1] < 2**16:
            raise wrong("--port", f"{nodes} nodes need the ports {ports[0]} to {ports[-1]}.", "Choose a lower one.")
        return cls(superlink, [f"{host}:{port}" for host, port in zip(hosts, ports, strict=False)], ports[nodes:])


def _check_superlink(address: str) -> None:
    """Nodes are known by their certificates' names, so the SuperLink's must not bear such a one as its host's."""
    if not re.fullmatch(rf"{HOST}:\d{{1,5}}", address):
        raise wrong("--superlink", f"'{address}' is no address.", "Write it as host:port.")
    if re.match(r"node-\d+:", address, re.IGNORECASE):
        what = f"with a certificate for '{address.rpartition(':')[0]}' the SuperLink would pass for a node."
        raise wrong("--superlink", what, "Give its host's number, or a longer name.")


def write_folder(
    out: Path,
    experiment: str,
    manifest: RunManifest,
    topology: Topology,
    addresses: Addresses,
    files: Sequence[UserFile] = (),
    data: Mapping[int, Path | None] = MappingProxyType({}),
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

    Raises:
        InputError: the folder exists or cannot be written.
    """
    try:
        out.mkdir(PRIVATE, parents=True)
        _write_all(out, experiment, manifest, topology, addresses, data)
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
) -> None:
    authority = Authority(out.name)
    _write(out / "experiment.yaml", experiment)
    _write(out / "README.md", readme(manifest, addresses.superlink, addresses.nodes, own_data=bool(data)))
    _write(out / "app" / "pyproject.toml", app_project(manifest))
    _write(out / "app" / "README.md", "The app is part of the package rumormill; this is its configuration.\n")
    _write(out / "authority" / "ca.crt", authority.certificate)
    _write(out / "authority" / "ca.key", authority.key, secret=True)
    _write_superlink(out / "superlink", authority, addresses)
    keys = [sealing_key() for _ in range(topology.num_nodes)]
    for node, (private, _) in enumerate(keys):
        folder, around = out / "nodes" / name_of(node), topology.neighbours(node)
        settings = {
            "node": node,
            "listen": addresses.nodes[node],
            "neighbours": {other: addresses.nodes[other] for other in around},
            "keys": {other: keys[other][1].hex() for other in around},
        }
        own = data_block(data[node]) if node in data else ""
        _write(folder / "node.yaml", yaml.safe_dump(settings, sort_keys=False) + own)
        _write(folder / "experiment.yaml", experiment)
        _write(folder / "seal.key", private, secret=True)
        _write_identity(folder, authority.issue(name_of(node)), "node")
        _write_supernode(folder, node_script(addresses.superlink, addresses.runtimes[node]))


def _write_superlink(folder: Path, authority: Authority, addresses: Addresses) -> None:
    host = addresses.superlink.rpartition(":")[0]
    _write_identity(
        folder, authority.issue("superlink", list(dict.fromkeys((host, "localhost", "127.0.0.1")))), "superlink"
    )
    settings = connection(addresses.superlink, str((folder / "ca.crt").absolute()))
    _write(folder / "home" / "config.toml", settings)
    _write(folder / "superexec.secret", os.urandom(48), secret=True)
    _write(folder / "start.sh", superlink_script(addresses.superlink), executable=True)


def _write_supernode(folder: Path, script: str) -> None:
    private, public = supernode_key()
    _write(folder / "supernode", private, secret=True)
    _write(folder / "supernode.pub", public)
    _write(folder / "start.sh", script, executable=True)


def _write_identity(folder: Path, identity: Identity, name: str) -> None:
    _write(folder / "ca.crt", identity.authority)
    _write(folder / f"{name}.crt", identity.certificate)
    _write(folder / f"{name}.key", identity.key, secret=True)


def _write(file: Path, content: str | bytes, secret: bool = False, executable: bool = False) -> None:
    file.parent.mkdir(PRIVATE, parents=True, exist_ok=True)
    file.touch(SECRET if secret else 0o755 if executable else 0o644)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
