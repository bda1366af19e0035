"""Flower's programs and the mailbox, as they are started on a deployment's hosts, and the environment they need."""

from __future__ import annotations

import os
import sys
from pathlib import Path

QUIET = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}  # else both ask servers outside


def superlink(address: str) -> list[str]:
    """The SuperLink, in its folder."""
    host, _, port = address.rpartition(":")
    own = ["flower-superlink", "--host", host, "--port", port, "--ssl-ca-certfile", "ca.crt"]
    tls = ["--ssl-certfile", "superlink.crt", "--ssl-keyfile", "superlink.key", "--enable-supernode-auth"]
    apart = ["--isolation", "process", "--superexec-auth-secret-file", "superexec.secret"]
    return [*own, *tls, *apart, "--database", "superlink.db", "--disable-runtime-dependency-installation"]


def mailbox(folder: Path) -> list[str]:
    """The mailbox of the plane relay, which the SuperLink's ``folder`` describes."""
    return [sys.executable, "-m", "simulator.deployment.mailbox_process", str(folder)]


def superexec(address: str) -> list[str]:
    """What runs the ServerApp, in the SuperLink's folder: apart from it, so that a run survives its restart."""
    tls = ["--root-certificates", "ca.crt", "--superexec-auth-secret-file", "superexec.secret"]
    return ["flower-superexec", "--runtime-api-address", address, *tls]


def supernode(address: str, runtime: int, folder: Path) -> list[str]:
    """A node's SuperNode, in its ``folder``, for the SuperLink or the gateway at ``address``."""
    own = ["flower-supernode", "--superlink", address, "--root-certificates", "ca.crt", "--port", str(runtime)]
    return [*own, "--auth-supernode-private-key", "supernode", "--node-config", f'folder="{folder}"']


def environment(home: Path) -> dict[str, str]:
    """Flower finds its own programs by name, so those that stand beside this Python come first.

    Args:
        home: the folder that Flower takes for its own.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    flower = {"FLWR_HOME": str(home.absolute()), "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1"}
    own = {**flower, "OMP_NUM_THREADS": "1"}
    return {**os.environ, **QUIET, **own, "PATH": path}
