"""Drawings: valid, repeatable SVG that shows what it should."""

import os
import subprocess
import sys
from threading import Thread
from xml.etree import ElementTree

import numpy as np
import pytest
from reference.marks import first

from topologies import Topology, TopologyError, draw
from topologies.layout import positions

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize(
    ("graph", "nodes"),
    [("ring", 1), ("ring", 32), ("torus", 12), ("exponential", 8), *first([("davis", None)], by_default=0)],
)
def test_svg_shows_every_node_and_is_repeatable(graph, nodes):
    topology = Topology.build(graph, nodes)
    svg = draw(topology)
    assert ElementTree.fromstring(svg).tag == f"{SVG}svg"
    assert sorted(texts(svg), key=int) == [str(i) for i in range(topology.num_nodes)]
    assert svg == draw(topology)
    assert "dc:date" not in svg


def test_values_change_colours_and_bring_a_labelled_bar():
    topology = Topology.build("ring", 4)
    plain, coloured = draw(topology), draw(topology, values=[0.0, 0.5, 0.5, 1.0], label="test accuracy")
    assert "test accuracy" in texts(coloured)
    assert "test accuracy" not in plain
    for end in ("#440154", "#fde725"):
        assert end in coloured
        assert end not in plain
    assert "test accuracy" in texts(draw(topology, values=[0.3] * 4, label="test accuracy"))


def test_one_line_a_link():
    lines = [draw(Topology.build("chain", nodes)).count('id="patch_') for nodes in (5, 9)]
    assert lines[1] - lines[0] == 4


def test_attackers_are_red_squares_and_a_legend_says_so():
    topology = Topology.build("ring", 6)
    plain, marked = draw(topology), draw(topology, attackers=[1, 4])
    assert not {"attacker", "honest"} & set(texts(plain))
    assert {"attacker", "honest"} <= set(texts(marked))
    assert "#b3261e" not in plain
    groups = ElementTree.fromstring(marked).findall(f".//{SVG}g")
    honest, lying = (next(group for group in groups if group.get("id") == f"PathCollection_{k}") for k in (1, 2))
    drawn = [[each for each in group.iter() if "fill" in each.get("style", "")] for group in (honest, lying)]
    assert [len(nodes) for nodes in drawn] == [4, 2]
    assert ["C" in next(group.iter(f"{SVG}path")).get("d") for group in (honest, lying)] == [True, False]  # curves
    assert all("fill: #b3261e; stroke: #b3261e" in node.get("style") for node in drawn[1])


def test_attackers_keep_the_colour_of_their_value():
    marked = draw(Topology.build("ring", 4), values=[0.0, 0.5, 0.5, 1.0], attackers=[3])
    assert "fill: #fde725; stroke: #b3261e" in marked


@pytest.mark.parametrize("attackers", [[6], [0, -1]])
def test_attackers_that_are_no_nodes_are_refused(attackers):
    with pytest.raises(TopologyError, match="Count from 0 to 5"):
        draw(Topology.build("ring", 6), attackers=attackers)


def test_path_receives_the_same_text(tmp_path):
    svg = draw(Topology.build("star", 5), tmp_path / "star.svg")
    assert (tmp_path / "star.svg").read_text(encoding="utf-8") == svg


@pytest.mark.parametrize("values", [[1.0], [1.0, float("nan"), 2.0]])
def test_bad_values_are_refused(values):
    with pytest.raises(TopologyError, match="Give a number for each node") as caught:
        draw(Topology.build("ring", 3), values=values)
    assert caught.value.field == "values"


def test_torus_stands_on_its_grid_and_star_around_its_middle():
    grid = positions(Topology.build("torus", 12, rows=3))
    np.testing.assert_allclose(np.diff(grid[:4], axis=0), [[2 / 3, 0]] * 3, atol=1e-12)
    np.testing.assert_allclose(np.diff(grid[::4], axis=0), [[0, -2 / 3]] * 2, atol=1e-12)
    star = positions(Topology.build("star", 9))
    np.testing.assert_allclose(star[0], 0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(star[1:], axis=1), 1, atol=1e-12)


def test_renamed_torus_can_still_be_drawn():
    topology = Topology.build("torus", 9).permuted([1, 3, 0, 2, 4, 5, 6, 7, 8])
    points = positions(topology)
    assert len(np.unique(points.round(6), axis=0)) == 9
    assert np.abs(points).max() == pytest.approx(1)


@pytest.mark.slow
def test_matplotlib_waits_until_something_is_drawn():
    code = """
import sys, topologies
assert "matplotlib" not in sys.modules
topologies.draw(topologies.Topology.build("ring", 3))
assert "matplotlib" in sys.modules and "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_picture_goes_through_a_pipe_that_is_there(tmp_path):
    """What stands at the path is written to, and not replaced by a file."""
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    drawn = draw(Topology.build("ring", 4), pipe)
    reader.join(timeout=60)
    assert read == [drawn]
    assert pipe.is_fifo()


@pytest.mark.parametrize("graph", first(["random_regular", "ring", "torus", "exponential"]))
def test_of_many_nodes_a_small_picture_is_left(graph):
    topology = Topology.build(graph, 1024)
    text = draw(topology, values=np.arange(1024), attackers=[3])
    assert text.count("<image") >= 1
    assert "attacker" in text
    assert len(text) < 600_000
    assert text == draw(topology, values=np.arange(1024), attackers=[3])
    assert np.isfinite(positions(topology)).all()
