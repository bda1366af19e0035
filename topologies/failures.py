"""Failures: links that drop what they carry, and nodes that are away for a while."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from topologies.errors import require
from topologies.laws import Laws
from topologies.links import Links
from topologies.seeding import generator
from topologies.weights import ROWS, entries, row_sums

Mask = NDArray[np.bool_]
Places = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Failures:
    """What goes wrong in each round: a pure function of the round and the seed.

    A lost link's weight goes back to the receiver's own weight, so rows still sum to 1. A symmetric W stays symmetric,
    hence doubly stochastic, if losses are `symmetric`. If they are not, or W is not, the columns no longer sum to 1 and
    gossip drifts away from the average of the nodes. For push-sum (`Links.push`) the weight goes back to the sender's
    own weight instead: columns sum to 1 whatever is lost, and push-sum stays exact. Links of a directed graph that go
    one way are lost one way, whatever `symmetric` says. See `keep`.

    Attributes:
        links: probability, within [0, 1), that a link loses what it carries in a round; independent between rounds.
        nodes: expected share, within [0, 1), of nodes away in a round.
        mean_absence: expected number of rounds that a node which `nodes` sends away stays so, at least 1 / (1 - nodes);
            each node is a Markov chain with two states, stationary from round 0 on. Left out, it is 1 / (1 - nodes),
            which makes a node's rounds independent of each other.
        absences: further ones (node, first round, last round), counted from 1; a node that joins late is away
            from round 1.
        symmetric: whether the two directions between two nodes are lost together; False only beside `links`.
        seed: seed of the draws, at least 0.

    Raises:
        TopologyError: a value is out of range, or cannot change anything.
    """

    links: float = 0.0
    nodes: float = 0.0
    mean_absence: float | None = None
    absences: tuple[tuple[int, int, int], ...] = ()
    symmetric: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for field, rate in (("links", self.links), ("nodes", self.nodes)):
            require(0 <= rate < 1, f"{field} is {rate}, outside [0, 1).", f"Set {field} to 0 or more, below 1.", field)
        shortest = 1 / (1 - self.nodes)
        short = f"With {self.nodes} of the nodes away, absences cannot last {self.mean_absence} rounds on average."
        possible = self.mean_absence is None or self.mean_absence >= shortest * (1 - 1e-12)
        require(possible, short, f"Set mean_absence to {shortest:.4g} or more.", "mean_absence")
        for node, first, last in self.absences:
            wrong = f"Node {node} cannot be away from round {first} to {last}."
            require(
                node >= 0 and 1 <= first <= last, wrong, "Give (node, first round, last round), from 1 on.", "absences"
            )
        for field, idle, without in (
            ("mean_absence", self.mean_absence is not None and not self.nodes, "nodes"),
            ("symmetric", not self.symmetric and not self.links, "links"),
        ):
            what = f"{field} is {getattr(self, field)}, which changes nothing while failures.{without} is 0."
            require(not idle, what, f"Leave {field} out, or set failures.{without}.", field)

    def check(self, num_nodes: int) -> None:
        """Check that there are all nodes that `absences` names.

        Raises:
            TopologyError: a node's number is `num_nodes` or more.
        """
        for node, _, _ in self.absences:
            advice = f"Nodes are 0..{num_nodes - 1}."
            require(node < num_nodes, f"There is no node {node} to be away.", advice, "absences")

    @property
    def any(self) -> bool:
        """Whether anything ever goes wrong."""
        return bool(self.links or self.nodes or self.absences)

    def keep(self, laws: Laws, push: bool) -> Laws:
        """What is left, in every round, of what holds for every round as scheduled; see `apply` for the reasons.

        Args:
            laws: of the schedule.
            push: whether its weights are `Links.push`.
        """
        if self.nodes or self.absences:
            laws = laws.after_losses(to_sender=push, together=True)
        return laws.after_losses(to_sender=push, together=self.symmetric) if self.links else laws

    def apply(self, links: Links, round: int) -> Links:
        """What is left of the links of a round.

        Args:
            links: the links as scheduled.
            round: 0 or more.

        Returns:
            Links without those lost and those of nodes away; what was away already stays away.

        Raises:
            TopologyError: `absences` names a node that there is not.
        """
        self.check(links.num_nodes)
        absent = self._absent(links.num_nodes, round) | self._listed(links.num_nodes, round)
        receivers, senders = entries(links.matrix)
        cut = self._lost(links.num_nodes, receivers, senders, round) | absent[receivers] | absent[senders]
        cut &= receivers != senders
        places, shape = (receivers[cut], senders[cut]), links.matrix.shape
        returned = csr_array((links.matrix.data[cut], places), shape=shape)
        own = row_sums(returned) if not links.push else np.bincount(places[1], returned.data, shape[0])
        own = own + links.matrix.diagonal()
        own[absent] = 1.0
        kept, everyone = ~cut & (receivers != senders), np.arange(len(own))
        places = np.concatenate([receivers[kept], everyone]), np.concatenate([senders[kept], everyone])
        weights = coo_array((np.concatenate([links.matrix.data[kept], own]), places), shape=shape)
        return Links(csr_array(weights), links.active & ~absent, links.push)

    def _lost(self, nodes: int, receivers: Places, senders: Places, round: int) -> Mask:
        """Which entries W loses, bool [entries], of those in these rows, ascending, and columns.

        A number is drawn for every pair of nodes, linked or not, so that a link's fate does not depend on others.
        """
        lost = np.zeros(len(receivers), dtype=np.bool_)
        if self.links == 0:
            return lost
        rows, columns = receivers, senders
        if self.symmetric:
            rows, columns = np.minimum(receivers, senders), np.maximum(receivers, senders)
        drawing = generator(self.seed, "lost links", round)
        for first in range(0, nodes, ROWS):
            drawn = drawing.random((min(ROWS, nodes - first), nodes)) < self.links
            here = (rows >= first) & (rows < first + ROWS)
            lost[here] = drawn[rows[here] - first, columns[here]]
        return lost

    def _listed(self, nodes: int, round: int) -> Mask:
        listed = [node for node, first, last in self.absences if first <= round + 1 <= last]
        return np.isin(np.arange(nodes), listed)

    def _absent(self, nodes: int, round: int) -> Mask:
        """Which nodes the Markov chain has away, bool [n].

        A uniform number u a round and node decides: away below `leave`, present from `stay` on, as before in between.
        So the last u that is not in between tells the state, and looking back for it needs no round before that.
        """
        absent, unknown = np.zeros(nodes, dtype=np.bool_), np.full(nodes, self.nodes > 0)
        come_back = 1 - self.nodes if self.mean_absence is None else 1 / self.mean_absence
        leave, stay = come_back * self.nodes / (1 - self.nodes), 1 - come_back
        while unknown.any():
            if round == 0:  # the state before any round, drawn from the stationary law
                leave = stay = self.nodes
            u = generator(self.seed, "absences", round).random(nodes)
            absent |= unknown & (u < leave)
            unknown &= (u >= leave) & (u < stay)
            round -= 1
        return absent
