"""The connection to Ray: one that is there already, a cluster's, or a Ray of one's own on this machine."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from simulator.core.errors import RunError, wrong

PATIENCE = 8.0  # seconds for a cluster's first answer
STARTS = 4  # Ray gives a start 30 s, too few for a busy machine that reads it from disk for the first time
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # RFC 9113, 3.4: and no settings
QUIET = {"RAY_USAGE_STATS_ENABLED": "0"}
# For a Ray of our own: workers as urgent as other processes, where Ray would give way to them; by a name that is
# historical, all on the loopback interface, so that nobody outside can reach it; and time for its first server.
OWN = QUIET | {
    "RAY_worker_niceness": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_gcs_server_port_wait_time_s": "120",
}
SERVERS = ("raylet", "gcs_server")  # of a Ray; without one of them, the process that uses it would end without a word

Check = Callable[[], None]  # raises RunError once Ray itself has died


@contextmanager
def connected(address: str | None) -> Iterator[Check]:
    """Connect to Ray at ``address``, or start one on this machine; a connection that is there already is used.

    Yields a function to call before anything is asked of Ray: it raises RunError if a Ray of our own has died.

    Raises:
        InputError: nothing answers at ``address``, or no Ray starts here.
    """
    if address and ":" in address:
        _knock(address)
    for name, value in (QUIET if address else OWN).items():
        os.environ.setdefault(name, value)
    import ray  # not before: it reads the environment when it is imported

    if ray.is_initialized():
        yield _nothing_to_check
        return
    try:
        if address:
            _initialize(address)
            yield _nothing_to_check
        else:
            yield _start()
    finally:
        ray.shutdown()


def _nothing_to_check() -> None:
    """A Ray that others have started tells of its machines' deaths itself, after a minute or two."""


def _start() -> Check:
    """Start a Ray on this machine, again if the machine was too busy for it."""
    import psutil  # Ray brings it

    for left in reversed(range(STARTS)):
        before = _children()
        try:
            _initialize(None)
            break
        except Exception as error:  # a start that takes too long raises just that
            if "timed out" not in str(error).lower() or not left:
                raise
            _end(_children() - before)
    servers = [process for process in _children() - before if process.name() in SERVERS]

    def check() -> None:
        for server in servers:
            if not server.is_running() or server.status() == psutil.STATUS_ZOMBIE:
                what = "Ray has died on this machine: one of its servers was killed, or the machine ran out of memory."
                raise RunError(f"{what}\n    Continue with `rumormill resume`, with fewer workers if memory is short.")

    return check


def _initialize(address: str | None) -> None:
    import ray

    own = {} if address else {"include_dashboard": False}
    try:
        ray.init(address or "local", namespace="rumormill", log_to_driver=False, logging_level="ERROR", **own)
    except Exception as error:  # that of a start that takes too long has no class of its own
        raise wrong("backend.address", f"Ray cannot be used: {error}.", _advice(address)) from error


def _children() -> set[Any]:
    """Processes that this one has started and their children, as psutil knows them."""
    import psutil

    return set(psutil.Process().children(recursive=True))


def _end(processes: Collection[Any]) -> None:
    """End what a start that took too long has left: it would take the time from the next one."""
    import psutil

    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=PATIENCE)


def _knock(address: str) -> None:
    """Ray itself would keep trying for minutes; what it expects there is a gRPC server, so HTTP/2."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
            connection.settimeout(PATIENCE)
            connection.sendall(GREETING)
            if not connection.recv(1):
                raise ConnectionError("the connection was closed")
    except (OSError, OverflowError) as error:
        what = f"no Ray answers at {address}: {error}."
        raise wrong("backend.address", what, _advice(address)) from error


def _advice(address: str | None) -> str:
    if address is None:
        return "See the logs in Ray's folder of temporary files, or use backend: local."
    return "Start Ray there with `ray start --head`, give the address that it prints, or leave backend.address out."


def room(gpus_per_worker: float) -> list[str]:
    """The machines that workers can run on, as Ray's node ids: each as often as it has room for one.

    A worker takes a processor, or ``gpus_per_worker`` where that is not 0.
    """
    import ray

    machines = [machine for machine in ray.nodes() if machine["Alive"]]
    rooms = (_room_at(machine["Resources"], gpus_per_worker) for machine in machines)
    return [machine["NodeID"] for machine, count in zip(machines, rooms, strict=True) for _ in range(count)]


def free_gpus() -> float:
    """GPUs of the cluster that nobody has reserved."""
    import ray

    return float(ray.available_resources().get("GPU", 0))


def _room_at(resources: dict[str, float], gpus_per_worker: float) -> int:
    if gpus_per_worker == 0:
        return int(resources.get("CPU", 0))
    gpus = int(resources.get("GPU", 0))
    # A worker's fraction is of one GPU: two halves of different ones do not add up.
    return gpus * math.floor(1 / gpus_per_worker) if gpus_per_worker < 1 else gpus // math.ceil(gpus_per_worker)
