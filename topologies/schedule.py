"""Schedule: the links of every round, and the graph that they are taken from."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache, reduce
from operator import add
from typing import Self

import networkx as nx
import numpy as np
from scipy.sparse import csr_array

from topologies.errors import TopologyError, require
from topologies.laws import Laws
from topologies.links import Links
from topologies.topology import Topology
from topologies.unions import components, declared
from topologies.validation import check_connected, hearable


@dataclass(frozen=True, eq=False)
class Schedule:
    """Links over time: a pure function of the round, so that any round can be asked for at any time.

    Attributes:
        name: name of the schedule, such as "one_peer_exponential".
        base: the links of all rounds together, for placement, drawings and reports. Where rounds repeat, its W is the
            mean of theirs; where they are drawn at random, it is the graph that they are drawn from.
        draw: links of the i-th graph, i = 0, 1, ...; a pure function.
        period: number of graphs after which they repeat, or None if they never do.
        every: number of rounds that each graph lasts.
        promise: what holds for every graph by the way they are made, as must be said of random ones to be known; every
            graph is held to it. Without it, only what every W must be is known of graphs without a period.

    Raises:
        TopologyError: the graphs do not fit; see `validate`.
    """

    name: str
    base: Topology
    draw: Callable[[int], Links]
    period: int | None = None
    every: int = 1
    promise: Laws | None = None

    def __post_init__(self) -> None:
        self.validate()

    @classmethod
    def periodic(cls, name: str, draw: Callable[[int], Links], period: int, nodes: nx.Graph, graph: str = "") -> Self:
        """Schedule of graphs that repeat; its `base` is their union.

        Args:
            name: name of the schedule.
            draw: links of the i-th graph, i = 0..period - 1.
            period: number of graphs.
            nodes: a graph whose nodes and labels the base gets; its edges do not count.
            graph: name of the union, if it has one of its own.

        Raises:
            TopologyError: the union of the graphs is not strongly connected.
        """
        total = reduce(add, (draw(index).matrix for index in range(period)))
        mean = csr_array((total.data / period, total.indices, total.indptr), shape=total.shape)
        union = _graph(mean, nodes)
        check_connected(union, "The union of all rounds", "schedule")
        weights_name = "push" if draw(0).push else name
        return cls(name, Topology(graph or name, union, mean, weights_name), draw, period)

    @property
    def num_nodes(self) -> int:
        """Number of nodes n."""
        return self.base.num_nodes

    @cached_property
    def laws(self) -> Laws:
        """What holds for W in every round: seen in each graph of a period, or else promised for all draws."""
        if self.period is None:
            return self.promise or Laws.bound(self.base.push)
        return Laws.common(Laws.of(self.draw(index)) for index in range(self.period))

    def at(self, round: int) -> Links:
        """Links of a round.

        Args:
            round: 0 or more.

        Raises:
            TopologyError: `round` is negative, or the graph breaks what the schedule promises.
        """
        require(round >= 0, f"There is no round {round}.", "Count rounds from 0.", "round")
        index = round // self.every
        return _drawn(self, index if self.period is None else index % self.period)

    def validate(self) -> None:
        """Check what every schedule promises, over one period; runs on construction.

        Graphs have the nodes of the base and links along its edges only; together they connect what the base connects.
        Random graphs have no period: of them only the first is checked, and the base, which is connected by itself.

        Raises:
            TopologyError: a promise is broken.
        """
        for field, value in (("period", self.period), ("every", self.every)):
            require(value is None or value >= 1, f"{field} is {value}.", f"Set {field} to 1 or more.", field)
        used = reduce(add, (_checked(self, index).matrix.astype(np.bool_) for index in range(self.period or 1)))
        for i, j in zip(*(used.astype(np.int8) - used * hearable(self.base.graph)).nonzero(), strict=True):
            what = f"Node {j} sends to node {i}, but the base has no such edge."
            raise TopologyError(what, "Add it to the base.", "schedule")
        if self.period is not None:
            check_connected(_graph(used, self.base.graph), "The union of all rounds", "schedule")


@lru_cache(maxsize=8)
def _drawn(schedule: Schedule, index: int) -> Links:
    return _checked(schedule, index)


def _checked(schedule: Schedule, index: int) -> Links:
    links, nodes, graph = schedule.draw(index), schedule.num_nodes, f"Graph {index} of the schedule"
    wrong = f"{graph} has {links.num_nodes} nodes, not {nodes}."
    require(links.num_nodes == nodes, wrong, "Give all graphs the same nodes.", "schedule")
    sums = f"{graph} is {'' if links.push else 'not '}made for push-sum, other than the base."
    require(links.push == schedule.base.push, sums, "Use push for the base and all graphs, or for none.", "schedule")
    broken = Laws.of(links).missing(schedule.promise) if schedule.promise else []
    what = f"The schedule promises that W is {', '.join(broken)} in every round; its graph {index} is not."
    require(not broken, what, "Correct the draw or the promise.", "schedule")
    return links


def _graph(heard: csr_array, nodes: nx.Graph) -> nx.Graph:
    """Graph with an edge j -> i where heard[i, j] is not 0; undirected if all edges go both ways."""
    links = heard.astype(np.bool_).astype(np.int8)
    graph = nx.DiGraph() if (links - links.T).count_nonzero() else nx.Graph()
    graph.add_nodes_from(nodes.nodes(data=True))
    receivers, senders = (places.tolist() for places in heard.nonzero())
    graph.add_edges_from((j, i) for i, j in zip(receivers, senders, strict=True) if i != j)
    return declared(graph, components(nodes))
