"""Named schedules: who talks to whom in which round, and `SCHEDULES`, the table of all names.

Each takes the topology of the experiment. Some choose among its links; others, as they say, bring their own links and
take only its nodes. All keep its promise of what sums to 1: the rows of W or, for weights named `push`, the columns.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
from scipy.sparse import coo_array, csr_array

from topologies.errors import TopologyError, require
from topologies.files import from_file
from topologies.finite_time import Round, finite_time_rounds
from topologies.labels import labels, relabelled
from topologies.links import Links
from topologies.lookup import checked_call, find
from topologies.random_schedules import random_matching, random_regular
from topologies.schedule import Schedule
from topologies.topology import Topology
from topologies.validation import check_weights
from topologies.weights import WEIGHTS, exchanges


def build_schedule(name: str, topology: Topology, seed: int = 0, **options: Any) -> Schedule:
    """Build a schedule from names.

    Args:
        name: a name in `SCHEDULES`.
        topology: the topology of the experiment.
        seed: seed of a random schedule, at least 0; other schedules ignore it.
        **options: further arguments of the schedule's function, such as `degree` of `random_regular`.

    Raises:
        TopologyError: the name or an option is unknown, missing or out of range, or does not fit the topology.
    """
    function = find(name, SCHEDULES, "schedule")
    joins = f"{name} brings its own links, which would join the {topology.components} parts of the union."
    apart = topology.components == 1 or name in ALONG_LINKS
    require(apart, joins, f"Choose one of {', '.join(ALONG_LINKS)}, or a graph in one part.", "schedule")
    ignored = f"{name} brings its own weights, and would not use those of {topology.weights_name}."
    used = name in WITH_WEIGHTS or topology.weights_name in ("metropolis_hastings", "push")
    require(used, ignored, "Leave weights out, or set it to push for push-sum.", "weights")
    if "seed" in function.__annotations__:
        options["seed"] = seed
    return checked_call(function, {"topology": topology, **options}, "schedule")


def static(topology: Topology) -> Schedule:
    """All links of the topology, with its W, in every round."""
    return Schedule("static", topology, partial(_listed, (topology.links,)), period=1)


def one_peer_exponential(topology: Topology) -> Schedule:
    """In round t each node i sends to i + 2^(t mod tau), modulo n, and both weights are 1/2; tau = ceil(log2(n)).

    Brings its own links: those of the `exponential` graph. After tau rounds all nodes hold the exact average if n is a
    power of two, and only then (Ying et al. 2021, "Exponential Graph is Provably Efficient for Decentralized Deep
    Training"; Assran et al. 2019, "Stochastic Gradient Push for Distributed Deep Learning").
    """
    period = max(1, (topology.num_nodes - 1).bit_length())
    draw = partial(_shifted, topology.num_nodes, topology.push)
    return Schedule.periodic("one_peer_exponential", draw, period, topology.graph, "exponential")


def base_graph(topology: Topology, degree: int = 1) -> Schedule:
    """Base-(k+1) graph: the exact average after every period, for any number of nodes.

    Brings its own links; see `finite_time_rounds`.

    Args:
        topology: gives the nodes.
        degree: k, the most neighbours that a node has in a round; more of them need fewer rounds.

    Raises:
        TopologyError: `degree` is below 1.
    """
    rounds = finite_time_rounds(topology.num_nodes, degree) or [[]]
    draw = partial(_exchanged, topology.num_nodes, topology.push, rounds)
    return Schedule.periodic("base_graph", draw, len(rounds), topology.graph)


def sequence(topology: Topology, graphs: Sequence[str | Path | nx.Graph | Topology]) -> Schedule:
    """Given graphs in turn, over and over.

    Brings its own links. A single graph need not be connected, only all of them together.

    Args:
        topology: gives the number of nodes and, by its name, the mixing matrix of each graph.
        graphs: at least one; files (see `from_file`), networkx graphs, or topologies, which keep their own W. All have
            the same nodes, by name: a graph with unlinked nodes must be in a format that can list them.

    Raises:
        TopologyError: a file cannot be read, the nodes differ, weights do not fit, or all together are not connected.
    """
    wrong = f"graphs is {graphs!r}, not a list of graphs."
    require(len(graphs) > 0 and not isinstance(graphs, str), wrong, "Give a list of graph files.", "graphs")
    given = [_graph(graph) for graph in graphs]
    for index, graph in enumerate(given):
        count = f"Graph {index} of the sequence has {len(graph)} nodes, not {topology.num_nodes}."
        require(len(graph) == topology.num_nodes, count, "Give all graphs the same nodes.", "graphs")
        names = f"Graphs 0 and {index} of the sequence name their nodes differently."
        require(labels(graph) == labels(given[0]), names, "Give all graphs the same nodes.", "graphs")
    links = tuple(_links(*pair, topology) for pair in zip(graphs, given, strict=True))
    return Schedule.periodic("sequence", partial(_listed, links), len(links), given[0])


def _graph(graph: str | Path | nx.Graph | Topology) -> nx.Graph:
    if isinstance(graph, Topology):
        return graph.graph
    if isinstance(graph, nx.Graph):
        return relabelled(graph)
    try:
        return from_file(graph)
    except TopologyError as error:
        raise TopologyError(error.message, error.advice, "graphs") from error


def _links(given: object, graph: nx.Graph, topology: Topology) -> Links:
    if isinstance(given, Topology):
        wrong = f"Weights {given.weights_name} and {topology.weights_name} do not go together."
        require(given.push == topology.push, wrong, "Use push for all graphs or for none.", "graphs")
        return given.links
    weights = find(topology.weights_name, WEIGHTS, "weights")(graph)
    check_weights(graph, weights, topology.push)
    return Links.everyone(weights, topology.push)


def _listed(links: tuple[Links, ...], index: int) -> Links:
    return links[index]


def _shifted(nodes: int, push: bool, index: int) -> Links:
    receivers = np.arange(nodes)
    senders = np.concatenate([receivers, (receivers - 2**index) % nodes])
    halves = np.full(2 * nodes, 0.5), (np.tile(receivers, 2), senders)
    return Links.everyone(csr_array(coo_array(halves, shape=(nodes, nodes))), push)


def _exchanged(nodes: int, push: bool, rounds: list[Round], index: int) -> Links:
    return Links.everyone(exchanges(nodes, rounds[index]), push)


ALONG_LINKS = ("static", "random_matching")  # use no links but those of the topology
WITH_WEIGHTS = ("static", "sequence")  # weigh them by the topology's kind of W

SCHEDULES: dict[str, Callable[..., Schedule]] = {
    schedule.__name__: schedule
    for schedule in (static, one_peer_exponential, random_matching, random_regular, sequence, base_graph)
}
"""Every named schedule; arguments are the topology and the schedule's own options, and a random one takes `seed`."""
