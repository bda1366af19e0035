"""Topology: who is linked to whom, and with which weights models are averaged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from topologies.errors import TopologyError, require
from topologies.files import NOTES, graph_from_json
from topologies.graphs import named
from topologies.labels import labels, relabelled
from topologies.links import Links
from topologies.lookup import find
from topologies.mixing import Mixing, sealed
from topologies.unions import components, declared, parts, side_by_side
from topologies.validation import check_graph, check_weights
from topologies.weights import WEIGHTS, block_diagonal


@dataclass(frozen=True, eq=False)
class Topology(Mixing):
    """A connected graph on the nodes 0..n-1, or a declared union of such, and its mixing matrix; cannot be changed.

    Attributes:
        graph_name: name of the graph, such as "ring".
        graph: frozen copy of the graph; an edge u -> v of a directed graph means that u sends to v.
        matrix: W, float64 [n, n], sparse, read-only; row i holds the weights that node i uses.
        weights_name: name of the mixing matrix, such as "metropolis_hastings".

    Raises:
        TopologyError: the graph and W are not a valid topology; see `validate`.
    """

    graph_name: str
    graph: nx.Graph
    matrix: csr_array
    weights_name: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "matrix", sealed(self.matrix))
        object.__setattr__(self, "graph", nx.freeze(self.graph.copy()))
        self.validate()

    @classmethod
    def build(
        cls,
        graph: str,
        nodes: int | None = None,
        weights: str = "metropolis_hastings",
        seed: int = 0,
        **options: Any,
    ) -> Self:
        """Build a topology from names.

        Args:
            graph: a name in `GRAPHS`.
            nodes: number of nodes; may be left out where the graph decides it.
            weights: a name in `WEIGHTS`.
            seed: seed of a random graph; other graphs ignore it.
            **options: further arguments of the graph's function, such as `rows` of a torus.

        Raises:
            TopologyError: a name or an option is unknown, missing or out of range, or the graph is not connected.
        """
        find(weights, WEIGHTS, "weights")
        arguments = options | ({} if nodes is None else {"nodes": nodes})
        return cls._weighted(graph, named(graph, arguments, seed), weights)

    @classmethod
    def from_networkx(cls, graph: nx.Graph, weights: str = "metropolis_hastings", name: str = "networkx") -> Self:
        """Build a topology from any networkx graph; other node names than 0..n-1 become labels (see `relabelled`).

        Raises:
            TopologyError: `weights` is unknown or does not fit, or the graph is empty, not connected or self-looped.
        """
        return cls._weighted(name, relabelled(graph), weights)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Rebuild a topology from what `to_json` returned, weights exact to the last bit.

        Raises:
            TopologyError: the data is not a saved topology, or not a valid one.
        """
        try:
            graph = graph_from_json(data)
            number = int(data.get("components", 1))
            entries = [(float(weight), int(i), int(j)) for i, j, weight in data["weights"]]
            values, rows, columns = zip(*entries, strict=True)
            weights = csr_array((values, (rows, columns)), shape=(graph.number_of_nodes(),) * 2)
            names = str(data["name"]), str(data["weights_name"])
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise TopologyError(f"This is no saved topology ({error!r}).", "Write it with Topology.to_json.") from error
        return cls(names[0], declared(relabelled(graph), number), weights, names[1])

    def copies(self, number: int) -> Self:
        """That many copies side by side, between which nothing travels: node r n + i is node i of copy r.

        W is block-diagonal.

        Raises:
            TopologyError: `number` is below 1.
        """
        graph, weights = side_by_side(self.graph, number), block_diagonal(self.matrix, number)
        return type(self)(f"{number} x {self.graph_name}", graph, weights, self.weights_name)

    def spanning_tree(self) -> Self:
        """The links of a breadth-first tree from the first node of each component, with the same kind of W.

        Raises:
            TopologyError: the graph is directed.
        """
        undirected = not self.graph.is_directed()
        require(undirected, "A directed graph has no spanning tree of two-way links.", "Choose an undirected graph.")
        tree = nx.Graph()
        tree.add_nodes_from(self.graph.nodes(data=True))
        for part in parts(self.graph):
            tree.add_edges_from(nx.bfs_edges(self.graph, part[0]))
        tree.graph[NOTES] = self.notes
        name = f"{self.graph_name} spanning tree"
        return self._weighted(name, declared(tree, self.components), self.weights_name)

    @classmethod
    def _weighted(cls, name: str, graph: nx.Graph, weights: str) -> Self:
        check_graph(graph)
        return cls(name, graph, find(weights, WEIGHTS, "weights")(graph), weights)

    @property
    def components(self) -> int:
        """How many networks this is: 1, unless it is a declared union, such as what `copies` makes."""
        return components(self.graph)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of how the graph was read from a file."""
        return tuple(self.graph.graph.get(NOTES, ()))

    @property
    def degrees(self) -> NDArray[np.int64]:
        """How many nodes each node sends to, int64 [n]."""
        return np.array([len(self.graph[i]) for i in range(self.num_nodes)], dtype=np.int64)

    @property
    def labels(self) -> tuple[str, ...]:
        """Name of each node: as the graph came with it, or else its number."""
        return labels(self.graph)

    @property
    def push(self) -> bool:
        """Whether W is for push-sum, by its name: then its columns are bound to sum to 1, and not its rows."""
        return self.weights_name == "push"

    @property
    def links(self) -> Links:
        """What happens in a round in which every link works and no node is away."""
        return Links.everyone(self.matrix, self.push)

    def in_neighbours(self, node: int) -> tuple[int, ...]:
        """Nodes that `node` hears from, ascending, without itself."""
        return tuple(sorted(self.graph.pred[node] if self.graph.is_directed() else self.graph[node]))

    def out_neighbours(self, node: int) -> tuple[int, ...]:
        """Nodes that `node` sends to, ascending, without itself."""
        return tuple(sorted(self.graph[node]))

    def neighbours(self, node: int) -> tuple[int, ...]:
        """Nodes that `node` hears from or sends to, ascending, without itself."""
        return tuple(sorted({*self.in_neighbours(node), *self.out_neighbours(node)}))

    def validate(self) -> None:
        """Check what every topology promises; runs on construction.

        The nodes are 0..n-1, (strongly) connected in each declared component and without self-loops. W is finite and
        >= 0, its rows (for `push`, its columns) sum to 1 within 1e-12, and it is zero outside the links and the
        diagonal.

        Raises:
            TopologyError: a promise is broken.
        """
        check_graph(self.graph)
        check_weights(self.graph, self.matrix, self.push)

    def permuted(self, permutation: Sequence[int]) -> Self:
        """The same topology with node i renamed to permutation[i]; labels move along.

        Args:
            permutation: each of 0..n-1 once.

        Raises:
            TopologyError: `permutation` is not a permutation.
        """
        valid = sorted(permutation) == list(range(self.num_nodes))
        advice = f"Give each of 0..{self.num_nodes - 1} once."
        require(valid, f"{list(permutation)} is not a permutation of the nodes.", advice, "permutation")
        former = np.argsort(permutation)
        graph = relabelled(nx.relabel_nodes(self.graph, dict(enumerate(permutation))))
        graph = declared(graph, self.components)
        return type(self)(self.graph_name, graph, self.matrix[former][:, former], self.weights_name)

    def named(self, names: Sequence[str]) -> Self:
        """The same topology with other names of nodes: one a node, in their order; without ``names``, as it is.

        Raises:
            TopologyError: there are more or fewer names than nodes.
        """
        if not names:
            return self
        advice = "Give one a node."
        require(len(names) == self.num_nodes, f"{len(names)} names for {self.num_nodes} nodes.", advice, "names")
        graph = self.graph.copy()
        nx.set_node_attributes(graph, dict(enumerate(names)), "label")
        return type(self)(self.graph_name, graph, self.matrix, self.weights_name)

    def to_json(self) -> dict[str, Any]:
        """Everything about the topology in JSON's own types; W as (row, column, weight), every bit of it kept."""
        rows, columns = self.matrix.nonzero()
        return {
            "name": self.graph_name,
            "directed": self.graph.is_directed(),
            "nodes": self.num_nodes,
            **({"components": self.components} if self.components > 1 else {}),
            "labels": list(self.labels),
            "edges": [[u, v] for u, v in self.edges() if self.graph.is_directed() or u < v],
            "weights_name": self.weights_name,
            "weights": list(zip(rows.tolist(), columns.tolist(), self.matrix.data.tolist(), strict=True)),
        }

    def to_graphml(self, path: str | Path) -> None:
        """Write the graph and its labels, without W, as GraphML."""
        nx.write_graphml_xml(self.graph, Path(path).expanduser())
