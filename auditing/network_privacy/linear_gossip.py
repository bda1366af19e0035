"""Linear gossip with Gaussian noise: how much of what a node injects can be seen in the messages of an observer.

A round adapts, sends, then combines. With x_t the models, one row a node, all equal and known at first::

    y_t = x_t + c_t (s_t + z_t)     # node i adds its signal s_t[i] and noise; z_t is N(0, Sigma_t) over the nodes
    y_t[i] goes to all neighbours of i
    x_{t+1} = W_t y_t

All that an observer receives is B eps + A s, where eps is whitened noise, so what it can learn of a signal g of node
u (one vector a round) is the Gaussian mechanism with mu^2 = g' M_u g, where M_u are the rows and columns of u in
A' (B B')^+ A (Bellet et al. 2025, arXiv:2510.17480). It is exact: no inequality stands between the messages and mu.

Nodes that remember more than a model, or do more with it, are linear systems of several slots, and the same holds of
them: see `auditing.network_privacy.linear_rounds` for what a round may be, of which the one above is `Maps.plain`.

The signals of the other nodes are taken as given. Where they depend on the models, as gradients do, a node on the way
may pass on more of u than its share in the averages: then only ``local`` bounds what an observer learns, which holds
whatever the others do, for all that u sends follows from its own s_t + z_t and from what it hears.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from auditing.network_privacy.linear_rounds import Round
from simulator.core.errors import wrong
from topologies import Links

Floats = NDArray[np.float64]
RESOLVED = 1e-12  # relative size from which on a message in a round without noise certainly says something new


@dataclass(frozen=True)
class Noise:
    """What nodes add to their updates in each round.

    Attributes:
        independent: standard deviation of each node's own part, above 0; one for all, or float64 [n].
        correlated: standard deviation of what every two linked nodes add, one of them with the other sign
            (`methods.differential_privacy.correlated_noise`). The covariance of both parts over the nodes is
            independent^2 I + correlated^2 L, with L the Laplacian of the links that go both ways.
    """

    independent: float | Floats
    correlated: float = 0.0

    def unknown(self, links: Links, inside: frozenset[int]) -> Floats:
        """Covariance, float64 [n, n], of what the nodes outside ``inside`` add, to those inside, who know their pairs.

        Rows and columns of nodes that add nothing unknown, being inside or away, are 0.
        """
        outside = links.active & ~np.isin(np.arange(links.num_nodes), list(inside))
        linked = (links.weights > 0) & (links.weights.T > 0) & outside & outside[:, None]
        np.fill_diagonal(linked, False)
        laplacian = np.diag(linked.sum(1)) - linked
        covariance: Floats = np.diag(np.square(self.independent) * outside) + self.correlated**2 * laplacian
        return covariance


@dataclass(frozen=True)
class Adversary:
    """Someone who sees messages, and knows W.

    Attributes:
        name: who it is.
        hears: whose messages it sees in a round with these links.
        inside: nodes whose data and noise it knows.
        sums: whether messages are summed before it sees them, as by secure aggregation: each node inside sees its own
            weighted sum, and nothing else.
        remembers: whether it keeps all messages that it ever sees; if not, it has those of the last round alone.
        overhears: whether it sees messages to nodes that are not inside, too, where those to each receiver differ.
    """

    name: str
    hears: Callable[[Links], set[int]]
    inside: frozenset[int] = frozenset()
    sums: bool = False
    remembers: bool = True
    overhears: bool = False

    def seen(self, links: Links, last: bool = False) -> Floats:
        """What it sees of what the nodes send in a round, or in the ``last`` one, a row each, float64 [rows, n]."""
        if not (self.remembers or last):
            return np.zeros((0, links.num_nodes))
        if self.sums:
            return np.asarray(links.weights[sorted(self.inside)])
        return np.asarray(np.eye(links.num_nodes)[sorted(self.hears(links))])

    @classmethod
    def node(cls, node: int) -> Self:
        """A curious node: what its neighbours send it, and its own noise."""
        return cls.coalition([node])

    @classmethod
    def coalition(cls, nodes: Sequence[int]) -> Self:
        """Curious nodes that share what they know."""
        inside = frozenset(nodes)
        name = f"node {nodes[0]}" if len(inside) == 1 else f"nodes {sorted(inside)}"
        return cls(name, lambda links: {j for i in inside for j in links.in_neighbours(i)} - inside, inside)

    @classmethod
    def edge(cls, one: int, other: int) -> Self:
        """An eavesdropper on a link, in both directions."""
        both = ((one, other), (other, one))
        return cls(f"link {one}-{other}", lambda links: {a for a, b in both if links.weights[b, a] > 0})

    @classmethod
    def everywhere(cls, *inside: int) -> Self:
        """One who sees all messages, and knows the data and the noise of the nodes ``inside``."""
        known = frozenset(inside)
        name = f"all messages, {cls.coalition(inside).name}" if inside else "all messages"
        return cls(
            name,
            lambda links: {j for i in range(links.num_nodes) for j in links.in_neighbours(i)} - known,
            known,
            overhears=True,
        )


@dataclass(frozen=True)
class Learnt:
    """What an observer learns in a round: D numbers, each with noise N(0, 1) that is independent of all others.

    Attributes:
        weights: float64 [D, rows], by which they are made of what it sees beyond what it could expect.
        gain: float64 [slots, D], what they say of all that nodes keep and send; see `Round.worked`.
    """

    weights: Floats
    gain: Floats


@dataclass(frozen=True)
class Exposure:
    """What an observer can learn of each node, for T signals of norm 1, or of the norm that the maps say.

    Attributes:
        directions: float64 [n, T, D], what the signals of each node are in all that the observer learns, D numbers; 0
            where the node adds nothing that the observer does not know.
        local: float64 [n, T], diagonals of what M_u would be if it saw all messages of all nodes.
        learnt: the D numbers, round by round.
    """

    directions: Floats
    local: Floats
    learnt: tuple[Learnt, ...]

    @property
    def blocks(self) -> Floats:
        """float64 [n, T, T], the matrices M_u."""
        found: Floats = self.directions @ self.directions.transpose(0, 2, 1)
        return found


def exposure(rounds: Sequence[Round], noise: Noise, observer: Adversary, revealed: bool = False) -> Exposure:
    """What ``observer`` learns from ``rounds``, float64 and exact up to rounding.

    The observer's knowledge is kept as orthonormal directions of the whitened noise, message by message. The nodes'
    slots are kept as linear functions of the noise from which these directions have been taken out, so that what a
    message says of a distant node is not lost beside what it repeats of near ones: on a ring it is 3^-d of the message.
    In rounds that inject, every message holds noise never seen before, so no rank need be decided; in further steps of
    gossip one must be: see `_directions`. O(T^2 n^3) operations for T injections.

    Args:
        rounds: all with the same number of nodes and of slots.
        noise: of every injection.
        observer: who.
        revealed: tell the observer at the end all that nodes are about to send and have kept.

    Raises:
        InputError: the noise's own part is 0, or gossip goes on for longer than float64 can follow.
    """
    if np.min(noise.independent) <= 0:
        raise wrong("noise", "without a part of its own at every node, no message is private.", "Set it above 0.")
    nodes, slots = rounds[0].links.num_nodes, rounds[0].maps.slots
    state = np.zeros((slots, nodes, nodes * sum(round.maps.injections for round in rounds)))
    spread = np.zeros((slots * nodes, slots * nodes))
    whiteners: list[Floats] = []
    found: list[Floats] = []
    learnt: list[Learnt] = []
    for place, round in enumerate(rounds):
        factor, whitener = _whitened(noise.unknown(round.links, observer.inside))
        begun = nodes * len(whiteners)
        whiteners += [whitener] * round.maps.injections
        work = round.worked(state[..., : nodes * len(whiteners)], factor, begun)
        spread = round.worked_spread(spread, factor)
        known = work.reshape(-1, work.shape[2])  # a view; rows of what is sent are the last n
        last = place == len(rounds) - 1
        seen = np.eye(len(known)) if last and revealed else observer.seen(round.links, last)
        size = spread[-seen.shape[1] :, -seen.shape[1] :]
        new, weights = _directions(seen @ known[-seen.shape[1] :], np.sqrt(((seen @ size) * seen).sum(1)))
        gain = known @ new.T
        known -= gain @ new
        state[..., : work.shape[2]] = round.mixed(work)
        spread = round.mixed_spread(spread)
        found.append(new)
        learnt.append(Learnt(weights, gain))
    signals = np.array([norm for round in rounds for norm in round.maps.signals])
    return Exposure(*_exposed(found, np.array(whiteners), signals), tuple(learnt))


def _whitened(covariance: Floats) -> tuple[Floats, Floats]:
    """L with L L' = ``covariance``, and its inverse; 0 where that has no variance."""
    factor, inverse = np.zeros_like(covariance), np.zeros_like(covariance)
    there = np.flatnonzero(covariance.diagonal())
    factor[np.ix_(there, there)] = np.linalg.cholesky(covariance[np.ix_(there, there)])
    inverse[np.ix_(there, there)] = np.linalg.inv(factor[np.ix_(there, there)])
    return factor, inverse


def _directions(messages: Floats, scale: Floats) -> tuple[Floats, Floats]:
    """Orthonormal rows that span those of ``messages``, known parts taken out, which were of size ``scale`` before.

    With them comes what they are made of: rows = weights @ messages.

    What rounding leaves of a message without news is below 4 n eps; what is above `RESOLVED` is news. Anything in
    between is refused rather than left out, for to leave it out would be to promise too much.
    """
    mixes, sizes, rows = np.linalg.svd(messages, full_matrices=False)
    relative = sizes / scale.max(initial=np.finfo(np.float64).tiny)
    rounding = 4 * messages.shape[1] * np.finfo(np.float64).eps
    if ((relative > rounding) & (relative < RESOLVED)).any():
        what = "after so many steps without new noise, messages say what float64 cannot tell from rounding."
        raise wrong("gossip_steps", what, "Take fewer; about 25 steps on a ring can be followed.")
    news = relative >= RESOLVED
    return rows[news], (mixes[:, news] / sizes[news]).T


def _exposed(learnt: Sequence[Floats], whiteners: Floats, norms: Floats) -> tuple[Floats, Floats]:
    """`Exposure.directions` and `Exposure.local`."""
    signals, nodes, _ = whiteners.shape
    seen = np.zeros((sum(map(len, learnt)), signals * nodes))
    for end, new in zip(np.cumsum([len(new) for new in learnt]), learnt, strict=True):
        seen[end - len(new) : end, : new.shape[1]] = new
    by_round = seen.reshape(-1, signals, nodes).transpose(1, 0, 2) @ whiteners  # [T, directions, n]
    of_node = np.ascontiguousarray(by_round.transpose(2, 0, 1))  # [n, T, directions]
    local = (whiteners**2).sum(1).T
    return of_node * norms[:, None], local * norms**2
