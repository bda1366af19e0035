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


EDGES = {(0, 1), (1, 0), (1, 2), (2, 1)}


@pytest.mark.parametrize(
    ("content", "ignored"),
    [
        (b"\xef\xbb\xbfa b\nb c\n", []),
        (b"% konect\na b % one\n# more\nb c\n", []),
        (b"a,b\nb , c\n", []),
        (b'"a","b",3\n"b","c",4\n', ["2 lines"]),
        (b"a b {'weight': 3, 'x': 1}\nb c\n", ["1 lines"]),
        (b"a b 2.5\nb c\n", ["1 lines"]),
    ],
)
def test_edge_lists_as_they_are_found(tmp_path, content, ignored):
    path = tmp_path / "graph.edges"
    path.write_bytes(content)
    topology = build(path)
    assert (topology.labels, set(topology.edges())) == (("a", "b", "c"), EDGES)
    assert len(topology.notes) == len(ignored)
    assert all(text in note for text, note in zip(ignored, topology.notes, strict=True))
    assert topology.spanning_tree().notes == topology.notes


@pytest.mark.parametrize("ending", ["graphml", "json"])
def test_weights_that_are_ignored_are_told(tmp_path, ending):
    graph, path = nx.cycle_graph(4), tmp_path / f"graph.{ending}"
    nx.set_edge_attributes(graph, 2.5, "weight")
    if ending == "json":
        path.write_text(json.dumps(nx.node_link_data(graph)))
    else:
        nx.write_graphml_xml(graph, path)
    (note,) = build(path).notes
    assert "weight" in note
    assert "ignored" in note


def test_parallel_links_that_count_once_are_told(tmp_path):
    graph, path = nx.MultiGraph([(0, 1), (0, 1), (1, 2)]), tmp_path / "graph.graphml"
    nx.write_graphml_xml(graph, path)
    assert "1 are ignored" in build(path).notes[0]


@pytest.mark.parametrize("path", ["~nouser/graph.edges", f"{'x' * 300}.edges"])
def test_paths_that_no_file_can_have_are_refused(path):
    with pytest.raises(TopologyError, match="cannot be used as a path"):
        build(path)


REFUSED = [
    ("graph.edges", "a b\nb,\n", "line 2: 'b,' is not an edge"),
    ("graph.edges", "a b\n,b\n", "line 2: ',b' is not an edge"),
    ("graph.edges", "source,target\na,b\n", "line 1: 'source,target' looks like a heading"),
    ("graph.edges", "%%MatrixMarket matrix coordinate\n3 3 1\n1 2\n", "line 1"),
    ("graph.edges", "a b\nc d\n", "its 2 parts are {a, b}, {c, d}"),
    ("graph.edges", "a -> b\nb -> c\n", "line 1: 'a -> b' is not an edge"),
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


def test_what_is_no_text_is_refused_with_its_line(tmp_path):
    path = tmp_path / "graph.edges"
    path.write_bytes(b"a b\nb \xff\n")
    with pytest.raises(TopologyError, match=r"graph\.edges, line 2"):
        build(path)


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
