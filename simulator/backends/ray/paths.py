"""Whether the machines of workers that send each other messages reach each other, and not this one alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from simulator.backends.ray.machines import KNOCK, Machine
from simulator.core.errors import RunError

FIRST = 15.0  # seconds of waiting after which machines are asked; then whenever it has lasted twice as long
ANSWER = 10.0  # seconds for them to answer: one that is busy may take longer, and is not blamed


class Path(NamedTuple):
    """A way that messages take, between two machines."""

    at: Machine
    to: Machine


class Paths:
    """Those that one wait depends on.

    Ray goes on fetching from a machine that it does not reach for as long as both answer its head, without a word.

    Args:
        hears: says from which other machines those on each hear.
    """

    def __init__(self, hears: Callable[[], Mapping[Machine, Sequence[Machine]]]) -> None:
        self._hears = hears
        self._due, self._suspected = FIRST, frozenset[Path]()

    def look(self, waited: float) -> None:
        """Ask the machines, if it is time to, after so many seconds.

        Raises:
            RunError: twice in a row, one of them did not reach another.
        """
        if waited < self._due:
            return
        self._due, broken = 2 * waited, frozenset(_broken(self._hears()))
        for path in sorted(broken & self._suspected):
            what = f"the machine {path.at.host} does not reach {path.to.host}, which answers here"
            advice = (
                "Open Ray's ports between all machines, not to its head alone, and continue with `rumormill resume`."
            )
            raise RunError(f"{what}: what their workers send each other never arrives.\n    {advice}")
        self._suspected = broken


def _broken(hears: Mapping[Machine, Sequence[Machine]]) -> list[Path]:
    def unreached(places: Sequence[tuple[str, int]], seconds: float) -> list[int]:  # within, so that its code travels
        import socket

        found = []
        for number, place in enumerate(places):
            try:
                socket.create_connection(place, timeout=seconds).close()
            except OSError:
                found.append(number)
        return found

    ask = ray.remote(unreached)
    asked = {}
    for at, others in hears.items():
        if not others:
            continue
        there = NodeAffinitySchedulingStrategy(at.id, soft=False)
        place = ask.options(num_cpus=0, max_retries=0, scheduling_strategy=there)
        asked[place.remote([(other.host, other.port) for other in others], KNOCK)] = at
    answered = ray.wait(list(asked), num_returns=len(asked), timeout=ANSWER)[0] if asked else []
    broken = []
    for reference in answered:
        at = asked[reference]
        try:
            broken += [Path(at, hears[at][number]) for number in ray.get(reference)]
        except RayError:  # the machine itself is lost, which is noticed elsewhere
            continue
    return [path for path in broken if path.to.answers()]
