"""The machines of a cluster: which of them live, and how many workers each has room for."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import ray
from ray._private.state import available_resources_per_node

from simulator.core.backend import WorkerLost

KNOCK = 2.0  # seconds for a machine to take a connection
PAUSE = 2.0  # seconds between two looks at the machines
SILENCE = 8.0  # seconds without one after which a machine counts as lost; Ray itself takes a minute


class Machine(NamedTuple):
    """A machine of the cluster, by Ray's ``id``, and where its part of Ray listens.

    ``room`` is how many workers can start on it: one a processor, whoever else uses them; or as many as its free GPUs
    are enough for, where as few as possible of them are free in part only, which Ray does not tell. ``most`` is how
    many could if nobody else used the machine.
    """

    id: str
    host: str
    port: int
    room: int
    most: int

    def answers(self) -> bool:
        """Whether it can be reached."""
        try:
            socket.create_connection((self.host, self.port), timeout=KNOCK).close()
        except OSError:
            return False
        return True


def machines(gpus: float) -> list[Machine]:
    """Those that are alive, with their room for workers that get ``gpus`` each."""
    free = available_resources_per_node() if gpus else {}
    found = [_machine(entry, gpus, free.get(entry["NodeID"], {})) for entry in ray.nodes() if entry["Alive"]]
    return [machine for machine in found if machine.answers()]


def _machine(entry: Mapping[str, Any], gpus: float, free: Mapping[str, float]) -> Machine:
    most = int(entry["Resources"].get("CPU", 0))
    room = most
    if gpus:
        most, room = (_room(gpus, resources.get("GPU", 0.0)) for resources in (entry["Resources"], free))
    return Machine(entry["NodeID"], entry["NodeManagerAddress"], entry["NodeManagerPort"], room, most)


def _room(gpus: float, free: float) -> int:
    """How many workers ``free`` GPUs are enough for, at best: a fraction is of one GPU, and two do not add up."""
    if gpus >= 1:
        return int(free / gpus)
    whole = math.floor(free)
    return whole * _fractions(gpus, 1.0) + _fractions(gpus, free - whole)


def _fractions(gpus: float, of: float) -> int:
    return math.floor(of / gpus + 1e-9)  # ten times 0.1 is one


class Watch:
    """Notices machines that have fallen silent, as behind a cable that was cut."""

    def __init__(self) -> None:
        self._silent_since = dict[str, float]()
        self._looked = 0.0

    def look(self, watched: Iterable[Machine]) -> None:
        """Look at those machines, unless that was done a moment ago.

        Raises:
            WorkerLost: one of them has been silent for too long.
        """
        if (now := time.monotonic()) < self._looked + PAUSE:
            return
        for machine in {each.id: each for each in watched}.values():
            if machine.answers():
                self._silent_since.pop(machine.id, None)
            elif (silent := now - self._silent_since.setdefault(machine.id, now)) >= SILENCE:
                raise WorkerLost(f"the machine {machine.host} has not answered for {silent:.0f} s")
        self._looked = time.monotonic()
