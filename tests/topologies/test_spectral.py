"""Spectra against closed forms and against known numbers."""

from math import inf, log2

import networkx as nx
import numpy as np
import pytest

from topologies import (
    Topology,
    TopologyError,
    diameter,
    distances,
    eigenvalues,
    expected_rounds_to_halve,
    exponential_gap,
    lambda_min,
    ring_eigenvalues,
    singular_values,
    spectral,
    spectral_gap,
    torus_eigenvalues,
)
from topologies.spectral import diameter_within

# graph, nodes, options, edges (directed links for a directed graph), gap, smallest eigenvalue, diameter
TABLE = [
    ("ring", 8, {}, 8, 0.1953, -1 / 3, 4),
    ("ring", 16, {}, 16, 0.0507, -1 / 3, 8),
    ("ring", 32, {}, 32, 0.0128, -1 / 3, 16),
    ("chain", 8, {}, 7, 0.0507, -0.28, 7),
    ("chain", 16, {}, 15, 0.0128, -0.32, 15),
    ("chain", 32, {}, 31, 0.0032, -0.33, 31),
    ("star", 8, {}, 7, 0.125, 0, 2),
    ("star", 16, {}, 15, 0.0625, 0, 2),
    ("star", 32, {}, 31, 0.0313, 0, 2),
    ("exponential", 8, {}, 24, 0.5, None, 3),
    ("exponential", 16, {}, 64, 0.4, None, 4),
    ("exponential", 32, {}, 160, 0.3333, None, 5),
    ("torus", 16, {"rows": 4}, 32, 0.4, -0.6, 4),
    ("torus", 32, {"rows": 4}, 64, 0.1172, -0.6, 6),
    ("hypercube", 16, {}, 32, 0.4, -0.6, 4),
    ("davis", None, {}, 89, 0.0821, -0.4343, 4),
    ("florentine", None, {}, 20, 0.0574, -0.1812, 5),
    ("karate", None, {}, 78, 0.0312, -0.0799, 5),
    ("complete", 8, {}, 28, 1, 0, 1),
]


@pytest.mark.parametrize(("graph", "nodes", "options", "edges", "gap", "smallest", "hops"), TABLE)
def test_known_numbers(graph, nodes, options, edges, gap, smallest, hops):
    topology = Topology.build(graph, nodes, **options)
    assert topology.graph.number_of_edges() == edges
    assert spectral_gap(topology.weights) == pytest.approx(gap, abs=6e-5)
    assert diameter(topology.graph) == hops
    if smallest is not None:
        digits = 5e-3 if graph == "chain" else 6e-5
        assert lambda_min(topology.weights) == pytest.approx(smallest, abs=digits)


def test_petersen_graph_from_networkx():
    topology = Topology.from_networkx(nx.petersen_graph())
    assert spectral_gap(topology.weights) == pytest.approx(0.5)
    assert lambda_min(topology.weights) == pytest.approx(-0.25)
    assert diameter(topology.graph) == 2


@pytest.mark.parametrize("nodes", [1, 2, 3, 4, 5, 8, 13, 16])
def test_ring_spectrum(nodes):
    measured = eigenvalues(Topology.build("ring", nodes).weights)
    np.testing.assert_allclose(measured, ring_eigenvalues(nodes), atol=1e-14)


def test_ring_spectrum_by_the_formula():
    by_formula = sorted(((1 + 2 * np.cos(2 * np.pi * k / 9)) / 3 for k in range(9)), reverse=True)
    np.testing.assert_allclose(ring_eigenvalues(9), by_formula, atol=1e-15)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 6), (2, 2), (2, 5), (3, 3), (3, 4), (4, 8), (5, 5)])
def test_torus_spectrum(rows, columns):
    measured = eigenvalues(Topology.build("torus", rows * columns, rows=rows, columns=columns).weights)
    np.testing.assert_allclose(measured, torus_eigenvalues(rows, columns), atol=1e-14)


@pytest.mark.parametrize("nodes", [1, 2, 3, 4, 6, 7, 8, 10, 12, 15, 16, 32])
@pytest.mark.parametrize("weights", ["uniform", "metropolis_hastings", "row_stochastic"])
def test_exponential_gap(nodes, weights):
    topology = Topology.build("exponential", nodes, weights)
    assert topology.is_doubly_stochastic
    assert spectral_gap(topology.weights) == pytest.approx(exponential_gap(nodes), abs=1e-12)
    if nodes % 2 == 0:
        assert exponential_gap(nodes) == pytest.approx(2 / (1 + np.ceil(log2(nodes))), abs=1e-12)


def test_gap_of_row_stochastic_weights_is_the_rate_of_agreement():
    weights = Topology.build("florentine", weights="row_stochastic").weights
    state = np.random.default_rng(1).normal(size=15)
    spreads = []
    for _ in range(120):
        state = weights @ state
        spreads.append(np.ptp(state))
    assert spreads[-1] / spreads[-2] == pytest.approx(1 - spectral_gap(weights), abs=1e-4)


def test_gap_of_push_weights_is_that_of_the_transposed_row_stochastic_ones():
    pushed, pulled = (Topology.build("florentine", weights=name).weights for name in ("push", "row_stochastic"))
    np.testing.assert_allclose(pushed, pulled.T, atol=1e-15)
    assert spectral_gap(pushed) == pytest.approx(spectral_gap(pulled), abs=1e-12)


def test_symmetric_gap_takes_the_larger_end_of_the_spectrum():
    # Each node of K_4,4 keeps 1/5 and takes 1/5 from the four others: eigenvalues 1, 1/5 six times, and -3/5.
    weights = Topology.from_networkx(nx.complete_bipartite_graph(4, 4)).weights
    np.testing.assert_allclose(eigenvalues(weights), [1, *[0.2] * 6, -0.6], atol=1e-14)
    assert spectral_gap(weights) == pytest.approx(0.4)
    assert singular_values(weights)[0] == pytest.approx(0.6)


def test_eigenvalues_of_a_directed_graph_are_refused():
    with pytest.raises(TopologyError, match="not symmetric"):
        eigenvalues(Topology.build("exponential", 8).weights)


def test_rounds_to_halve():
    gap = 1 - 0.94925
    rounds = expected_rounds_to_halve(gap)
    assert 0.94925**rounds == pytest.approx(0.5)
    assert expected_rounds_to_halve(1) == 0
    assert expected_rounds_to_halve(0) == inf


def test_distances_run_from_sender_to_receiver():
    hops = distances(nx.cycle_graph(4, create_using=nx.DiGraph))
    np.testing.assert_array_equal(hops, [[0, 3, 2, 1], [1, 0, 3, 2], [2, 1, 0, 3], [3, 2, 1, 0]])


def test_news_never_reaches_another_component():
    np.testing.assert_array_equal(distances(nx.empty_graph(2)), [[0, inf], [inf, 0]])


@pytest.mark.parametrize("graph", ["ring", "torus", "random_regular", "exponential", "erdos_renyi"])
@pytest.mark.parametrize("weights", ["metropolis_hastings", "row_stochastic", "lazy"])
def test_of_large_networks_the_ends_of_the_spectrum_are_those_of_all_of_it(graph, weights, monkeypatch):
    weights = "push" if (graph, weights) == ("erdos_renyi", "lazy") else weights
    topology = Topology.build(graph, 120, weights)
    whole = spectral_gap(topology.matrix), topology.is_symmetric and lambda_min(topology.matrix)
    hops = diameter(topology.graph)
    monkeypatch.setattr(spectral, "_WHOLE", 1)
    ends = spectral_gap(topology.matrix), topology.is_symmetric and lambda_min(topology.matrix)
    assert ends == pytest.approx(whole, abs=1e-9)
    least, most = diameter_within(topology.graph)
    assert least <= hops <= most


def test_slow_mixing_of_a_large_ring_is_told_apart_from_none():
    ring = Topology.build("ring", 5000)
    assert spectral_gap(ring.matrix) == pytest.approx(1 - ring_eigenvalues(5000)[1], rel=1e-3)
    assert lambda_min(ring.matrix) == pytest.approx(-1 / 3, abs=1e-9)
    assert diameter_within(ring.graph) == (2500, 5000)
