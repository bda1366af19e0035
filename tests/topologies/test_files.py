"""Graphs read from files."""

import json

import networkx as nx
import numpy as np
import pytest

from topologies import Topology, TopologyError


def build(path, **options):
    return Topology.build("from_file", path=str(path), **options)


@pytest.mark.parametrize("ending", [".edges", ".txt"])
def test_edge_list(tmp_path, ending):
    path = tmp_path / f"graph{ending}"
    path.write_text("# a comment\n0 1\n\n1 2 {'weight': 3}  # another\n2\t10\n")
    topology = build(path, nodes=4)
    assert topology.edges() == [(0, 1), (1, 0), (1, 2), (2, 1), (2, 3), (3, 2)]
    assert topology.labels == ("0", "1", "2", "10")


def test_names_are_sorted_naturally_and_kept(tmp_path):
    path = tmp_path / "graph.edges"
    path.write_text("site10 site9\nsite9 site1\n")
    topology = build(path)
    assert topology.labels == ("site1", "site9", "site10")
    assert topology.neighbours(1) == (0, 2)


@pytest.mark.parametrize("key", ["edges", "links"])
@pytest.mark.parametrize("kind", [nx.Graph, nx.DiGraph])
def test_node_link_json(tmp_path, key, kind):
    graph = nx.cycle_graph(["c", "a", "b"], create_using=kind)
    data = {"directed": graph.is_directed(), "multigraph": False, "graph": {}, "nodes": [{"id": n} for n in graph]}
    data[key] = [{"source": u, "target": v, "weight": 7} for u, v in graph.edges]
    path = tmp_path / "graph.json"
    path.write_text(json.dumps(data))
    topology = build(path)
    assert topology.labels == ("a", "b", "c")
    assert topology.out_neighbours(0) == ((1,) if kind is nx.DiGraph else (1, 2))


def test_node_link_json_as_networkx_writes_it(tmp_path):
    path = tmp_path / "graph.json"
    path.write_text(json.dumps(nx.node_link_data(nx.petersen_graph())))
    assert build(path).edges() == Topology.from_networkx(nx.petersen_graph()).edges()


@pytest.mark.parametrize(("graph", "nodes"), [("florentine", None), ("exponential", 11), ("ring", 1)])
@pytest.mark.parametrize("ending", ["json", "graphml"])
def test_a_saved_topology_comes_back(tmp_path, graph, nodes, ending):
    topology, path = Topology.build(graph, nodes), tmp_path / f"saved.{ending}"
    if ending == "json":
        path.write_text(json.dumps(topology.to_json()))
    else:
        topology.to_graphml(path)
    again = build(path)
    assert again.edges() == topology.edges()
    assert again.labels == topology.labels
    np.testing.assert_array_equal(again.weights, topology.weights)


REFUSED = [
    ("graph.edges", "a b\nc d\n", "its 2 parts are {0, 1}, {2, 3}"),
    ("graph.edges", "a b\nb b\n", "links node b to itself"),
    ("graph.edges", "a b\n\nlonely\n", "line 3: 'lonely' is not an edge"),
    ("graph.edges", "# nothing\n", "has no nodes"),
    ("graph.csv", "a b\n", "Use one of .json, .graphml, .edges, .txt"),
    ("graph.json", '{"nodes": 2,\n "edges": [}', "line 2"),
    ("graph.json", '{"nodes": [{"id": 0}]}', "not a graph (KeyError('links'))"),
    ("graph.json", "[1, 2]", "not a graph"),
    ("graph.json", '{"nodes": 2, "edges": [[0, 1], [1, 5]]}', "a node that is not listed"),
    ("graph.json", '{"nodes": 2, "edges": [[0, 1], [1, 1]]}', "links node 1 to itself"),
    ("graph.json", '{"nodes": 2, "edges": []}', "its 2 parts are {0}, {1}"),
    ("graph.graphml", "<graphml>\n<graph", "line 2"),
    ("graph.graphml", "<svg></svg>", "is no GraphML graph"),
]


@pytest.mark.parametrize(("name", "content", "text"), REFUSED, ids=[text for _, _, text in REFUSED])
def test_bad_files_are_refused(tmp_path, name, content, text):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(TopologyError) as caught:
        build(path)
    assert text in str(caught.value)
    assert caught.value.field == ("graph" if "parts" in text else "path")


def test_a_missing_file_says_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TopologyError, match="There is no graph file at") as caught:
        build("nowhere.edges")
    assert str(tmp_path / "nowhere.edges") in str(caught.value)


def test_a_wrong_number_of_nodes_is_refused(tmp_path):
    path = tmp_path / "graph.edges"
    path.write_text("0 1\n")
    with pytest.raises(TopologyError, match="has 2 nodes, not 3") as caught:
        build(path, nodes=3)
    assert caught.value.field == "nodes"
