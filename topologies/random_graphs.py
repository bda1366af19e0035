"""Random graphs on the nodes 0..n-1, drawn again until connected; the same seed gives the same graph."""

from collections.abc import Callable
from random import Random

import networkx as nx

from topologies.errors import TopologyError, require
from topologies.labels import relabelled
from topologies.memory import check_room

_MAX_DRAWS = 100


def random_regular(nodes: int, degree: int = 4, *, seed: int) -> nx.Graph:
    """Uniformly random connected graph in which every node has `degree` neighbours.

    Args:
        nodes: number of nodes, more than `degree`; nodes * degree must be even.
        degree: neighbours of each node.
        seed: seed of the draw.

    Raises:
        TopologyError: no such graph exists, or no draw is connected.
    """
    check_degree(nodes, degree)
    check_room(nodes, nodes * degree / 2)
    advice = "Set degree to 3 or more." if degree < 3 else "Try another seed or a larger degree."
    return _connected(lambda random: nx.random_regular_graph(degree, nodes, random), seed, advice, "degree")


def erdos_renyi(nodes: int, probability: float = 0.3, *, seed: int) -> nx.Graph:
    """Each pair of nodes is linked with the same probability, independently; conditioned on being connected.

    Args:
        nodes: at least 1.
        probability: probability of an edge, within [0, 1].
        seed: seed of the draw.

    Raises:
        TopologyError: an argument is out of range, or no draw is connected.
    """
    require(nodes >= 1, f"A graph cannot have {nodes} nodes.", "Set nodes to 1 or more.", "nodes")
    _require_share(probability, "probability")
    check_room(nodes, probability * nodes**2 / 2)
    advice = "Raise the probability: connected graphs become likely above ln(nodes) / nodes."
    return _connected(lambda random: nx.gnp_random_graph(nodes, probability, random), seed, advice, "probability")


def small_world(nodes: int, degree: int = 4, rewiring: float = 0.1, *, seed: int) -> nx.Graph:
    """Ring lattice with some edges rewired to random nodes (Watts and Strogatz 1998); connected.

    Args:
        nodes: number of nodes, more than `degree`.
        degree: even number of neighbours in the lattice, half of them on each side.
        rewiring: probability, within [0, 1], that an edge is rewired.
        seed: seed of the draw.

    Raises:
        TopologyError: an argument is out of range, or no draw is connected.
    """
    wrong = f"A small world of {nodes} nodes cannot have degree {degree}."
    require(2 <= degree < nodes and degree % 2 == 0, wrong, "Set degree to an even number below nodes.", "degree")
    _require_share(rewiring, "rewiring")
    check_room(nodes, nodes * degree / 2)
    advice = "Raise degree or lower rewiring."
    return _connected(lambda random: nx.watts_strogatz_graph(nodes, degree, rewiring, random), seed, advice, "degree")


def check_degree(nodes: int, degree: int) -> None:
    """Check that there is a graph in which each of `nodes` nodes has `degree` neighbours.

    Raises:
        TopologyError: there is none.
    """
    wrong = f"{nodes} nodes cannot have {degree} neighbours each."
    require(0 <= degree < nodes, wrong, "Set degree to at least 0 and below nodes.", "degree")
    require(nodes * degree % 2 == 0, wrong, "Make nodes or degree even.", "degree")


def _connected(draw: Callable[[Random], nx.Graph], seed: int, advice: str, field: str) -> nx.Graph:
    random = Random(seed)
    for _ in range(_MAX_DRAWS):
        graph = draw(random)
        if nx.is_connected(graph):
            return relabelled(graph)
    raise TopologyError(f"None of {_MAX_DRAWS} draws of the random graph was connected.", advice, field)


def _require_share(value: float, field: str) -> None:
    require(0 <= value <= 1, f"{field} is {value}, outside [0, 1].", f"Set {field} between 0 and 1.", field)
