"""Schedules that draw their links anew, each draw from (seed, round) alone."""

from functools import partial
from random import Random

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from topologies.errors import require
from topologies.laws import Laws
from topologies.links import Links
from topologies.random_graphs import check_degree
from topologies.schedule import Schedule
from topologies.seeding import generator
from topologies.topology import Topology
from topologies.weights import exchanges, metropolis_hastings

EXCHANGES = Laws(rows=True, columns=True, symmetric=True, two_way=True)  # of pairs that give and take the same


def random_matching(topology: Topology, *, seed: int) -> Schedule:
    """Every round, nodes pair up along links of the topology, and each pair averages with weights 1/2.

    Nodes choose in random order, each among those of its neighbours that are still free, until no link between free
    nodes is left: a random maximal matching, and on a complete graph a uniformly random perfect one (with an odd number
    of nodes, all but one). Every link is used in some round. W of a round is doubly stochastic and W^2 = W.

    Args:
        topology: its links are those that pairs are chosen from; its W is not used.
        seed: seed of the draws.

    Raises:
        TopologyError: the graph is directed.
    """
    directed = "Pairs average both ways, but the links of the topology go one way."
    require(not topology.graph.is_directed(), directed, "Use an undirected graph.", "graph")
    neighbours = [np.array(topology.neighbours(node), dtype=np.int64) for node in range(topology.num_nodes)]
    draw = partial(_matching, neighbours, topology.push, seed)
    return Schedule("random_matching", topology, draw, promise=EXCHANGES)


def random_regular(topology: Topology, degree: int = 4, every: int = 1, *, seed: int) -> Schedule:
    """A uniformly random graph in which each node has `degree` neighbours, drawn anew every so many rounds.

    Brings its own links: any two nodes may meet, so a single draw need not be connected. W is `metropolis_hastings`.
    With every = 1 this is the random topology of Epidemic Learning (de Vos et al. 2023, "Epidemic Learning: Boosting
    Decentralized Learning with Randomized Communication"), in its form with equal degrees.

    Args:
        topology: gives the nodes.
        degree: neighbours of each node, at least 1 and below n; nodes * degree must be even.
        every: number of rounds that a draw lasts, at least 1.
        seed: seed of the draws.

    Raises:
        TopologyError: an argument is out of range.
    """
    nodes = topology.num_nodes
    check_degree(nodes, degree)
    require(degree >= 1, "With degree 0 no node ever hears another.", "Set degree to 1 or more.", "degree")
    graph = nx.complete_graph(nodes)
    graph.add_nodes_from(topology.graph.nodes(data=True))
    base = Topology.from_networkx(graph, "push" if topology.push else "metropolis_hastings", "complete")
    draw = partial(_regular, nodes, degree, topology.push, seed)
    return Schedule("random_regular", base, draw, every=every, promise=EXCHANGES)


def _matching(neighbours: list[NDArray[np.int64]], push: bool, seed: int, index: int) -> Links:
    random, nodes = generator(seed, "random_matching", index), len(neighbours)
    free, pairs = np.ones(nodes, dtype=np.bool_), []
    for node in random.permutation(nodes).tolist():
        others = neighbours[node][free[neighbours[node]]]
        if free[node] and len(others):
            other = int(random.choice(others))
            free[[node, other]] = False
            pairs.append((node, other, 0.5))
    return Links.everyone(exchanges(nodes, pairs), push)


def _regular(nodes: int, degree: int, push: bool, seed: int, index: int) -> Links:
    random = Random(int(generator(seed, "random_regular", index).integers(2**63)))
    graph = nx.random_regular_graph(degree, nodes, random)
    return Links.everyone(metropolis_hastings(graph), push)
