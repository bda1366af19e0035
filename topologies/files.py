"""Graphs from files: JSON (node-link, or a saved topology), GraphML and edge lists."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import networkx as nx

from topologies.errors import TopologyError, require
from topologies.labels import relabelled

NOTES = "notes"  # the graph's attribute with what a user should know of how it was read
_ARROW = re.compile("[-=<>|:~]+")  # what may stand between two names, and is no name
_HEADINGS = {"source", "target", "from", "to", "src", "dst", "sender", "receiver", "node1", "node2"}


def from_file(path: str | Path, nodes: int | None = None) -> nx.Graph:
    """Read a graph; the ending of the file's name tells the format.

    * `.json`: networkx node-link data, or a saved topology (only its graph is used, not its weights);
    * `.graphml`: GraphML;
    * `.edges`, `.txt`: undirected edge list, two node names a line, with spaces or a comma between; further columns are
      ignored, and what follows a # or %.

    Weights are never taken from a file; what is ignored is told in the graph's attribute "notes". Nodes are renamed to
    0..n-1 in the natural order of their names; see `topologies.labels.relabelled`.

    Args:
        path: the file; a leading ~ is the home directory.
        nodes: number of nodes that the file must have, if given.

    Raises:
        TopologyError: the file is missing, cannot be read, links a node to itself, or has another number of nodes.
    """
    try:
        file = Path(path).expanduser().absolute()
        found = file.is_file()
    except (OSError, RuntimeError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error).rstrip(".")
        raise TopologyError(f"{str(path)[:80]!r} cannot be used as a path: {why}.", "Correct it.", "path") from error
    read = _READERS.get(file.suffix.lower())
    if read is None:
        raise TopologyError(f"{file.name} is of no known format.", f"Use one of {', '.join(_READERS)}.", "path")
    require(found, f"There is no graph file at {file}.", "Correct the path.", "path")
    graph = read(file)
    for name in nx.nodes_with_selfloops(graph):
        raise TopologyError(f"{file.name} links node {name} to itself.", "Remove that edge.", "path")
    require(len(graph) > 0, f"{file.name} has no nodes.", "Give at least one edge.", "path")
    wrong = f"{file.name} has {len(graph)} nodes, not {nodes}."
    require(nodes in (None, len(graph)), wrong, f"Set nodes to {len(graph)} or leave it out.", "nodes")
    renamed = relabelled(graph)
    renamed.graph[NOTES] = graph.graph[NOTES]
    return renamed


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
        data = json.loads(_text(file))
        graph = graph_from_json(data)
    except json.JSONDecodeError as error:
        raise TopologyError(f"{file.name}, line {error.lineno}: {error.msg}.", "Make it valid JSON.", "path") from error
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        advice = "Write it with networkx.node_link_data or Topology.to_json."
        raise TopologyError(f"{file.name} is JSON, but not a graph ({error!r}).", advice, "path") from error
    links = data["edges" if "edges" in data else "links"]
    weighed = bool(data.get("weights")) or any(isinstance(link, Mapping) and "weight" in link for link in links)
    return _noted(graph, [f"{file.name}: weights of links are ignored"] if weighed else [])


def _read_graphml(file: Path) -> nx.Graph:
    try:
        graph = nx.read_graphml(file)
    except ParseError as error:
        where = f"{file.name}, line {error.position[0]}"
        raise TopologyError(f"{where}: {error}.", "Make it valid XML.", "path") from error
    except (nx.NetworkXError, KeyError, ValueError, OSError, RecursionError) as error:
        raise TopologyError(f"{file.name} is no GraphML graph ({error!r}).", "Export it again.", "path") from error
    carried = sorted({str(key) for _, _, data in graph.edges(data=True) for key in data if key != "id"})
    notes = [f"{file.name}: what links carry is ignored: {', '.join(carried)}"] if carried else []
    if parallel := graph.number_of_edges() - len(set(graph.edges())):
        notes.append(f"{file.name}: parallel links count once, {parallel} are ignored")
    return _noted(graph, notes)


def _read_edge_list(file: Path) -> nx.Graph:
    graph, columns = nx.Graph(), 0
    for number, line in enumerate(_text(file).splitlines(), start=1):
        text = re.split("[#%]", line, maxsplit=1)[0].partition("{")[0]  # networkx writes attributes as {...}
        where, shown = f"{file.name}, line {number}", repr(line.strip()[:40])
        advice = "Write the links alone, one a line."
        require(not line.startswith("%%MatrixMarket"), f"{where}: {shown} begins a matrix.", advice, "path")
        names = [name.strip() for name in text.split(",")] if "," in text else text.split()
        advice = "Write two node names, with a space or a comma between."
        told_apart = len(names) != 1 and all(names) and not any(_ARROW.fullmatch(name) for name in names[:2])
        require(told_apart, f"{where}: {shown} is not an edge.", advice, "path")
        heading = not graph and {name.strip("\"'").lower() for name in names[:2]} <= _HEADINGS
        require(not (names and heading), f"{where}: {shown} looks like a heading.", "Remove this line.", "path")
        if names:
            graph.add_edge(*(name.strip("\"'") for name in names[:2]))
            columns += len(names) > 2 or "{" in line
    notes = [f"{file.name}: what stands behind the two nodes of a link is ignored, in {columns} lines"]
    return _noted(graph, notes if columns else [])


def _text(file: Path) -> str:
    """UTF-8, with or without a byte order mark."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = file.read_bytes().count(b"\n", 0, error.start) + 1
        raise TopologyError(f"{file.name}, line {line} is no UTF-8 text.", "Save it as UTF-8.", "path") from error
    except OSError as error:
        raise TopologyError(f"{file.name} cannot be read: {error.strerror}.", "Correct it.", "path") from error


def _noted(graph: nx.Graph, notes: Sequence[str]) -> nx.Graph:
    graph.graph[NOTES] = tuple(f"{note}; mixing weights come from `weights`" for note in notes)
    return graph


_READERS = {".json": _read_json, ".graphml": _read_graphml, ".edges": _read_edge_list, ".txt": _read_edge_list}
