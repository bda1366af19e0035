"""What neighbours may send in a run: how much, how often, and what it has to be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from simulator.core.declaration import largest
from simulator.core.message import Message
from simulator.deployment.transport.inspection import Declaring, inspect
from simulator.deployment.transport.positions import ONCE, Positions


def _always(sender: int, position: int) -> bool:
    return True


@dataclass(frozen=True)
class Expected:
    """What neighbours may send.

    Attributes:
        rounds: of the run.
        largest: bytes of each neighbour's longest message.
        inspect: raises `Refused` for a message that is not as declared.
        positions: how many exchanges a round has.
        needed: whether a sender has something to say at a position whatever it has heard itself; where all of it is
            optional, a neighbour that has sent nothing is not missed.
    """

    rounds: int
    largest: Mapping[int, int]
    inspect: Callable[[Message], None]
    positions: Positions = ONCE
    needed: Callable[[int, int], bool] = _always

    @classmethod
    def of(cls, program: Declaring, node: int, neighbours: Iterable[int], rounds: int) -> Self:
        """What ``neighbours`` may send to ``node``, whose ``program`` it is, in a run of so many rounds."""
        positions = Positions(program.exchanges)
        every = [positions.split(position) for position in range(rounds * positions.exchanges)]
        longest = {other: max(largest(program.declared(other, node, *each)) for each in every) for other in neighbours}

        def needed(sender: int, position: int) -> bool:
            declared = program.declared(sender, node, *positions.split(position))
            return not all(part.optional for part in declared.values())

        return cls(rounds, longest, lambda message: inspect(message, program), positions, needed)
