"""Rounds of training as linear maps of what nodes hold; what they give away is for `linear_gossip`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from topologies import Links, Network, Topology

Floats = NDArray[np.float64]
Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Maps:
    """What every node that takes part does with its k slots: its model, and all else that it remembers.

    With m the slots, e the J injections of the round, each signal and noise, and s what is sent to all neighbours::

        m', s = before (m) + injected (e) ;  m <- m' + mixed (W s)

    Attributes:
        before: [k + 1][k], its last row makes what is sent.
        injected: [k + 1][J], likewise.
        mixed: [k].
        signals: [J], the largest norm of each injection's signal, in units of the sensitivity, where noise has the
            standard deviation 1 times its multiplier.
    """

    before: Matrix
    injected: Matrix
    mixed: tuple[float, ...]
    signals: tuple[float, ...]

    @classmethod
    def plain(cls, scale: float = 1.0) -> Self:
        """y = m + scale e is sent, and W y is the next model."""
        return cls(((0.0,), (1.0,)), ((0.0,), (scale,)), (1.0,), (1.0,))

    @classmethod
    def silent(cls) -> Self:
        """A further step of gossip: nothing is injected."""
        return cls(((0.0,), (1.0,)), ((), ()), (1.0,), ())

    @property
    def slots(self) -> int:
        """k, how many vectors a node keeps from one round to the next."""
        return len(self.mixed)

    @property
    def injections(self) -> int:
        """J, how many vectors a node injects in a round."""
        return len(self.signals)

    @property
    def forgets(self) -> bool:
        """Whether nothing of a node is left but what was mixed: its one slot is W s."""
        return self.mixed == (1.0,) and not any(self.before[0] + self.injected[0])

    @property
    def is_plain(self) -> bool:
        """Whether a round is ``plain`` on some scale."""
        return self.forgets and self.before[1] == (1.0,) and self.injections == 1

    def columns(self) -> Floats:
        """The vectors ``injected``, float64 [k + 1, J]."""
        return np.array(self.injected, dtype=np.float64).reshape(self.slots + 1, self.injections)


@dataclass(frozen=True)
class Round:
    """A round: its links, and what the nodes do. What nodes hold is float64 [k, n, columns], a column a noise source.

    Nodes that are away keep what they hold.
    """

    links: Links
    maps: Maps

    def worked(self, held: Floats, factor: Floats, begun: int) -> Floats:
        """What nodes keep and, last, what they send, float64 [k + 1, n, columns]; that alone where they keep nothing.

        Args:
            held: before the round.
            factor: float64 [n, n], what an injection of the nodes is of n sources.
            begun: the column of the first source of the round's first injection; those of the others follow.
        """
        nodes, work = len(factor), self.carried(held)
        for number, column in enumerate(self.columns.T):
            at = begun + nodes * number
            work[:, self.links.active, at : at + nodes] = column[:, None, None] * factor[self.links.active]
        return work

    @property
    def columns(self) -> Floats:
        """`Maps.columns` of what `worked` gives."""
        return self.maps.columns()[self._first :]

    @property
    def _first(self) -> int:
        """The first slot that is kept; what is sent comes after all of them."""
        return self.maps.slots if self.maps.forgets else 0

    def carried(self, held: Floats) -> Floats:
        """`worked` where nothing is injected: what is kept and sent of what was ``held``."""
        away = ~self.links.active
        work: Floats = np.tensordot(np.array(self.maps.before)[self._first :], held, 1)
        if away.any():
            work[:, away] = np.concatenate([held, held[:1]])[self._first :, away]
        return work

    def mixed(self, work: Floats) -> Floats:
        """What nodes hold after the round, float64 [k, n, columns], from what `worked` gave."""
        mixed = self.links.weights @ work[-1]
        if self.maps.forgets:
            alone: Floats = mixed[None]
            return alone
        found: Floats = work[:-1] + np.outer(self.maps.mixed, self.links.active)[:, :, None] * mixed
        return found

    def worked_spread(self, spread: Floats, factor: Floats) -> Floats:
        """Covariance of what nodes keep and send, float64 [(k + 1) n, (k + 1) n], from that of what they hold."""
        active, columns, own = self.links.active.astype(np.float64), self.maps.columns(), np.eye(self.maps.slots)
        work = np.kron(np.array(self.maps.before), np.diag(active))
        work += np.kron(np.concatenate([own, own[:1]]), np.diag(1 - active))
        found: Floats = work @ spread @ work.T + np.kron(columns @ columns.T, factor @ factor.T)
        return found

    def mixed_spread(self, spread: Floats) -> Floats:
        """Covariance of what nodes hold after the round, float64 [k n, k n], from what `worked_spread` gave."""
        kept, mixed = np.eye(len(spread) - self.links.num_nodes), self.links.weights
        if self.maps.forgets:
            kept = 0 * kept
        else:
            mixed = np.kron(np.array(self.maps.mixed)[:, None], self.links.active[:, None] * mixed)
        both = np.concatenate([kept, mixed], axis=1)
        found: Floats = both @ spread @ both.T
        return found


def rounds_of(
    network: Network | Topology, rounds: int, gossip_steps: int = 1, maps: Sequence[Maps] | None = None
) -> list[Round]:
    """``rounds`` rounds of the network with its failures; in each, all nodes send and mix ``gossip_steps`` times.

    ``maps``, one a round, are plain by default.
    """
    always = network.links if isinstance(network, Topology) else None
    links = [network.at(round) if isinstance(network, Network) else always for round in range(rounds)]
    each = zip(links, maps or [Maps.plain()] * rounds, strict=True)
    return [
        Round(held, Maps.silent() if step else done)
        for held, done in each
        if held is not None
        for step in range(gossip_steps)
    ]
