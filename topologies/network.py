"""Network: the links that each round really has, once failures have taken their share of the schedule."""

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Self

import numpy as np

from topologies.failures import Failures
from topologies.laws import Laws
from topologies.links import Links
from topologies.schedule import Schedule
from topologies.topology import Topology


@dataclass(frozen=True)
class Network:
    """Links over time, failures included: a pure function of the round.

    Raises:
        TopologyError: the failures name a node that there is not.
    """

    schedule: Schedule
    failures: Failures

    def __post_init__(self) -> None:
        self.failures.check(self.schedule.num_nodes)

    def copies(self, number: int) -> Self:
        """The same network so many times, numbered as by `Topology.copies`: what fails, fails in all copies at once."""
        draw, period = partial(_copied, self, number), None if self.varies else 1
        schedule = Schedule(self.schedule.name, self.base.copies(number), draw, period, promise=self.laws)
        return type(self)(schedule, Failures())

    @property
    def base(self) -> Topology:
        """All links that there can be, for placement, drawings and reports; what its W is like, no round's need be."""
        return self.schedule.base

    @property
    def laws(self) -> Laws:
        """What holds for W in every round, whatever fails."""
        return self.failures.keep(self.schedule.laws, self.base.push)

    @property
    def fails(self) -> bool:
        """Whether anything ever goes wrong."""
        return self.failures.any

    @property
    def varies(self) -> bool:
        """Whether rounds differ from each other."""
        return self.fails or self.schedule.period != 1

    def at(self, round: int) -> Links:
        """The links of a round."""
        return _left(self, round) if self.fails else self.schedule.at(round)

    def lost(self, round: int) -> int:
        """How many directed links of the schedule carry nothing in a round."""
        return _count(self.schedule.at(round)) - _count(self.at(round))


@lru_cache(maxsize=8)
def _left(network: Network, round: int) -> Links:
    return network.failures.apply(network.schedule.at(round), round)


def _copied(network: Network, copies: int, round: int) -> Links:
    return network.at(round).copies(copies)


def _count(links: Links) -> int:
    return int(links.matrix.nnz) - int(np.count_nonzero(links.matrix.diagonal()))
