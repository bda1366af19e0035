"""Which worker goes to which machine, at the start and when machines have died."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from simulator.backends.ray.machines import Machine, machines
from simulator.core.errors import wrong

T = TypeVar("T")
FREED = 10.0  # seconds for GPUs of workers that have just ended to be free again
LOOKS = 0.5  # seconds between two looks at what is free


def places(workers: int | None, gpus: float, nodes: int) -> list[Machine]:
    """Where each worker is to run, with ``gpus`` each.

    Args:
        workers: how many there are; None: as many as there is room for, and at most one a node.
        gpus: of each, or a fraction of one.
        nodes: of the network.

    Raises:
        InputError: there is no room for them.
    """
    wanted = 1 if workers is None else workers
    found = within(FREED, lambda: _with_room(wanted, gpus)) or machines(gpus)
    room = sum(machine.room for machine in found)
    if gpus and room < wanted:
        what = f"{wanted} x {gpus:g} GPUs are not to be had: there is room for {room} such workers on the GPUs that are"
        advice = "Ask for fewer workers or a fraction of a GPU for each, or leave it out to use processors."
        raise wrong("backend.gpus_per_worker", f"{what} free ({_listed(found)}).", advice)
    if not room:
        what = "this cluster has no processors for workers."
        raise wrong("backend.address", what, "Start Ray on its machines with `ray start --num-cpus`.")
    return spread(workers, nodes, found)


def _with_room(workers: int, gpus: float) -> list[Machine] | None:
    found = machines(gpus)
    room, most = sum(machine.room for machine in found), sum(machine.most for machine in found)
    return None if gpus and room < workers <= most else found


def _listed(found: Sequence[Machine]) -> str:
    return ", ".join(f"{machine.host}: {machine.room}" for machine in found)


def within(seconds: float, ask: Callable[[], T | None]) -> T | None:
    """What ``ask`` gives as soon as that is something; None if it is nothing for so long."""
    deadline = time.monotonic() + seconds
    while (found := ask()) is None and time.monotonic() < deadline:
        time.sleep(LOOKS)
    return found


def spread(workers: int | None, most: int, found: Sequence[Machine]) -> list[Machine]:
    """Where each worker is to run; neighbouring ones on the same machine, as far as that goes.

    Args:
        workers: how many there are; None: as many as there is room for.
        most: there are no more than so many.
        found: the machines, which have room.
    """
    places = [machine for machine in found for _ in range(machine.room)]
    count = min(len(places), most) if workers is None else workers
    return [places[worker * len(places) // count] for worker in range(count)]


def moved(
    workers: Iterable[int], placed: Mapping[int, Machine], found: Sequence[Machine], gpus: float
) -> dict[int, Machine] | None:
    """Where ``workers`` are to run, all of which have been at a place before; None if there is not room for all.

    Each stays where it was, if that machine is among those ``found``, or else goes to where there are fewest workers
    for its room. Processors are shared, GPUs are not.
    """
    going = list(workers)
    load = Counter(machine.id for worker, machine in placed.items() if worker not in going and not gpus)
    gone = dict[int, Machine]()
    for worker in going:
        open = [machine for machine in found if machine.room and (not gpus or load[machine.id] < machine.room)]
        if not open:
            return None
        gone[worker] = min(open, key=lambda each: (each.id != placed[worker].id, load[each.id] / each.room))
        load[gone[worker].id] += 1
    return gone
