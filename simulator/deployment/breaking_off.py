"""What ends a phase at a node before its time: a signal to its process, or the end of the run it belongs to.

Flower replies nothing for a ClientApp that a signal has ended, and its SuperNode waits for that reply for ever.
Nor does it tell a ClientApp that its run has failed or was stopped, and its SuperNode takes no other message meanwhile.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from simulator.core.errors import RunError
from simulator.core.signal_handlers import hearing
from simulator.deployment.node_folder import NodeFolder

ASK = 10.0  # seconds between two questions whether the run goes on
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class BrokenOff(RunError):
    """A phase is to end now; what the node has finished is on its disk."""


def broken_off_by_signals() -> AbstractContextManager[None]:
    """Have a signal raise `BrokenOff`, unless the SuperNode's own process is gone, which nothing can be replied to."""
    parent, before = os.getppid(), {number: signal.getsignal(number) for number in SIGNALS}

    def end(number: int, frame: FrameType | None) -> None:
        handler = before[signal.Signals(number)]
        if os.getppid() != parent and callable(handler):
            handler(number, frame)
        raise BrokenOff(f"the phase is broken off, since its process was told to end ({signal.Signals(number).name}).")

    return hearing(SIGNALS, end)


@contextmanager
def watched(folder: NodeFolder, run: int, supernode: int) -> Iterator[None]:
    """Send this process SIGTERM when Flower's ``run`` is over.

    Args:
        folder: the node's, with the key of its SuperNode; one of a simulation has no SuperLink to ask.
        run: Flower's number of it.
        supernode: Flower's number of the node.
    """
    done = threading.Event()
    main = threading.main_thread().ident

    def watch() -> None:
        while not done.wait(ASK):
            if is_over(folder, run, supernode) and not done.is_set() and main is not None:
                print(f"node {folder.node}: the run is over for the SuperLink", flush=True)
                signal.pthread_kill(main, signal.SIGTERM)  # so that it is the one that is woken
                return

    if folder.superlink and threading.current_thread() is threading.main_thread():
        threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        done.set()


def is_over(folder: NodeFolder, run: int, supernode: int) -> bool:
    """Whether the SuperLink says that Flower's ``run`` does not run any more; who does not answer says nothing."""
    import httpx
    from flwr.proto.node_pb2 import Node
    from flwr.proto.run_pb2 import GetRunRequest
    from flwr.supercore.interceptors.http.runtime_version import RuntimeVersionHttpInterceptor
    from flwr.supernode.fleet_http_client import FleetHttpClient
    from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

    own: list[Any] = [
        RuntimeVersionHttpInterceptor(component_name="SuperNode"),
        NodeAuthHttpInterceptor(*_keys(folder.folder)),
    ]
    authority = (folder.folder / "ca.crt").read_bytes()
    try:
        with FleetHttpClient.from_server_address(folder.superlink, False, authority, interceptors=own) as client:
            client.GetRun(GetRunRequest(node=Node(node_id=supernode), run_id=run))
        return False
    except httpx.HTTPStatusError as error:
        return error.response.status_code == httpx.codes.FORBIDDEN  # as Flower's own SuperNode takes it
    except (httpx.HTTPError, OSError):
        return False


def _keys(folder: Path) -> tuple[Any, Any]:
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    private = load_ssh_private_key((folder / "supernode").read_bytes(), None)
    return private, private.public_key()
