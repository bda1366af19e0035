"""Graphs from files: JSON (node-link, or a saved topology), GraphML and edge lists."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import networkx as nx

from topologies.errors import TopologyError, require
from topologies.labels import relabelled


def from_file(path: str | Path, nodes: int | None = None) -> nx.Graph:
    """Read a graph; the ending of the file's name tells the format.

    * `.json`: networkx node-link data, or a saved topology (only its graph is used, not its weights);
    * `.graphml`: GraphML;
    * `.edges`, `.txt`: undirected edge list, two node names a line; further columns and what follows a # are ignored.

    Nodes are renamed to 0..n-1 in the natural order of their names; see `topologies.labels.relabelled`.

    Args:
        path: the file; a leading ~ is the home directory.
        nodes: number of nodes that the file must have, if given.

    Raises:
        TopologyError: the file is missing, cannot be read, links a node to itself, or has another number of nodes.
    """
    file = Path(path).expanduser().absolute()
    read = _READERS.get(file.suffix.lower())
    if read is None:
        raise TopologyError(f"{file.name} is of no known format.", f"Use one of {', '.join(_READERS)}.", "path")
    require(file.is_file(), f"There is no graph file at {file}.", "Correct the path.", "path")
    graph = read(file)
    for name in nx.nodes_with_selfloops(graph):
        raise TopologyError(f"{file.name} links node {name} to itself.", "Remove that edge.", "path")
    require(len(graph) > 0, f"{file.name} has no nodes.", "Give at least one edge.", "path")
    wrong = f"{file.name} has {len(graph)} nodes, not {nodes}."
    require(nodes in (None, len(graph)), wrong, f"Set nodes to {len(graph)} or leave it out.", "nodes")
    return relabelled(graph)


def graph_from_json(data: Mapping[str, Any]) -> nx.Graph:
    """Graph of a saved topology, as `Topology.to_json` writes it, or of networkx node-link data.

    Args:
        data: a saved topology has a count as "nodes", optional "labels" and pairs as "edges"; node-link data has
            objects with an "id" as "nodes", and objects with "source" and "target" as "edges" or "links".

    Raises:
        AttributeError, KeyError, TypeError, ValueError: the data is neither.
    """
    if isinstance(data["nodes"], int):
        nodes = list(range(data["nodes"]))
        names = data.get("labels", nodes)
        edges = [(sender, receiver) for sender, receiver in data["edges"]]
    else:
        nodes = [node["id"] for node in data["nodes"]]
        names = [node.get("label", node["id"]) for node in data["nodes"]]
        edges = [(link["source"], link["target"]) for link in data["edges" if "edges" in data else "links"]]
    graph = nx.DiGraph() if data.get("directed") else nx.Graph()
    graph.add_nodes_from((node, {"label": name}) for node, name in zip(nodes, names, strict=True))
    graph.add_edges_from(edges)
    if len(graph) != len(nodes):
        raise ValueError("an edge names a node that is not listed, or a node is listed twice")
    return graph


def _read_json(file: Path) -> nx.Graph:
    try:
        return graph_from_json(json.loads(file.read_text(encoding="utf-8")))
    except json.JSONDecodeError as error:
        raise TopologyError(f"{file.name}, line {error.lineno}: {error.msg}.", "Make it valid JSON.", "path") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        advice = "Write it with networkx.node_link_data or Topology.to_json."
        raise TopologyError(f"{file.name} is JSON, but not a graph ({error!r}).", advice, "path") from error


def _read_graphml(file: Path) -> nx.Graph:
    try:
        return nx.read_graphml(file)
    except ParseError as error:
        where = f"{file.name}, line {error.position[0]}"
        raise TopologyError(f"{where}: {error}.", "Make it valid XML.", "path") from error
    except (nx.NetworkXError, KeyError, ValueError) as error:
        raise TopologyError(f"{file.name} is no GraphML graph ({error!r}).", "Export it again.", "path") from error


def _read_edge_list(file: Path) -> nx.Graph:
    graph = nx.Graph()
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        names = line.partition("#")[0].split()
        wrong = f"{file.name}, line {number}: {line.strip()!r} is not an edge."
        require(len(names) != 1, wrong, "Write two node names, with a space between.", "path")
        if names:
            graph.add_edge(names[0], names[1])
    return graph


_READERS = {".json": _read_json, ".graphml": _read_graphml, ".edges": _read_edge_list, ".txt": _read_edge_list}
