"""The pairwise account over many rounds, and the published formula beside it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.marks import first

from auditing.network_privacy import muffliato
from auditing.network_privacy.contributions import simple
from auditing.network_privacy.linear_gossip import Adversary, Noise, exposure
from auditing.network_privacy.linear_rounds import rounds_of
from auditing.network_privacy.network_dp import by_distance, network_epsilon, pairwise
from simulator.privacy.gaussian_dp import epsilon_of
from topologies import Failures, Network, Topology, build_schedule, distances

ONE = Noise(1.0)
REGULAR = ("ring", "torus", "hypercube")


def largest(values, topology):
    return [found.max() for found in by_distance(values, distances(topology.graph).T).values()]


def test_on_a_ring_of_16_epsilon_falls_with_distance():
    """A round's share of mu^2 after ten rounds with fresh noise; neighbours see 7 % less than who sees everything."""
    ring = Topology.build("ring", 16)
    exact = largest(pairwise(rounds_of(ring, 10), ONE) / 10, ring)
    bound = simple(exposure(rounds_of(ring, 10), ONE, Adversary.node(0))) / 10
    assert bound[1:5] == pytest.approx([1.0, 0.21, 0.054, 0.012], abs=0.005)
    published = largest(muffliato.every_round(ring.weights, 10) / 10, ring)
    unsquared = largest(muffliato.every_round(ring.weights, 10, squared=False) / 10, ring)
    assert exact[:4] == pytest.approx([0.933, 0.2068, 0.0542, 0.0118], abs=0.0003)
    assert published[:4] == pytest.approx([1, 1, 0.32, 0.069], abs=0.005)
    assert unsquared[:4] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("graph", "nodes"), first([("star", 8), ("torus", 16), ("ring", 16), ("random_regular", 16)], by_default=2)
)
def test_with_fresh_noise_the_published_formula_is_above(graph, nodes):
    topology = Topology.build(graph, nodes)
    for rounds in (1, 4, 10):
        gap = muffliato.every_round(topology.weights, rounds) - pairwise(rounds_of(topology, rounds), ONE)
        assert np.nanmin(gap) > -1e-9


def test_with_one_injection_the_published_formula_is_below():
    """Eight steps on a ring of 16: node 4 hops away is fully exposed, and the formula says an eighth."""
    ring = Topology.build("ring", 16)
    exact = pairwise(rounds_of(ring, 1, 8), ONE)
    published = muffliato.one_injection(ring.weights, 8)
    assert largest(exact, ring) == pytest.approx([1] * 8)
    assert largest(published, ring)[3] == pytest.approx(0.124, abs=0.001)
    assert (exact - published)[0, 8] > 0.99


@pytest.mark.parametrize("graph", ["complete", "star"])
@pytest.mark.parametrize("steps", [1, 3, 8])
def test_on_complete_graphs_and_stars_it_holds(graph, steps):
    topology = Topology.build(graph, 8)
    gap = muffliato.one_injection(topology.weights, steps) - pairwise(rounds_of(topology, 1, steps), ONE)
    assert np.nanmin(gap) > -1e-9


def test_the_bound_is_never_above_that_of_all_messages():
    ring = Topology.build("ring", 8)
    for rounds in (1, 7, 20):
        assert np.nanmax(pairwise(rounds_of(ring, rounds), ONE)) <= rounds + 1e-9


@settings(max_examples=15)
@given(st.sampled_from(REGULAR), st.integers(1, 6), st.booleans(), st.sampled_from([0.0, 1.0]))
def test_blocks_bound_what_is_learnt(graph, block, fails, correlated):
    """Exactly, not only the bounds over contributions: the observer with blocks learns more of every signal."""
    topology = Topology.build(graph, 8)
    network = Network(build_schedule("static", topology, 0), Failures(links=0.3 * fails, nodes=0.1 * fails))
    played, noise = rounds_of(network, 6), Noise(1.0, correlated)
    exact = exposure(played, noise, Adversary.node(0)).blocks
    told = np.zeros_like(exact)
    for start in range(0, 6, block):
        part = slice(start, min(start + block, 6))
        told[:, part, part] = exposure(played[part], noise, Adversary.node(0), revealed=part.stop < 6).blocks
    assert np.linalg.eigvalsh(told[1:] - exact[1:]).min() > -1e-9
    bounds = pairwise(played, noise, [Adversary.node(0)], block=block)[1:, 0]
    assert (bounds >= exact[1:].sum((1, 2)) - 1e-9).all()


def test_blocks_of_the_same_links_cost_nothing(monkeypatch):
    calls = []
    counted = lambda *arguments, **options: calls.append(1) or exposure(*arguments, **options)  # noqa: E731
    monkeypatch.setattr("auditing.network_privacy.network_dp.exposure", counted)
    found = pairwise(rounds_of(Topology.build("ring", 8), 4_000), ONE, [Adversary.node(0)], block=10)
    assert len(calls) == 2  # the last block tells nothing at its end
    assert found[4, 0] < 4_000


def test_epsilon_is_that_of_mu():
    ring = Topology.build("ring", 6)
    found = network_epsilon(Topology.build("complete", 6), 5, 2.0, 1e-6, sensitivity=3.0)
    assert np.isnan(np.diag(found)).all()
    assert found[1, 0] == pytest.approx(epsilon_of(3 / 2 * np.sqrt(5), 1e-6))
    coalition = network_epsilon(ring, 5, 2.0, 1e-6, observers=[Adversary.node(0), Adversary.coalition([0, 2])])
    assert (coalition[[1, 3, 4, 5], 1] >= 0.999 * coalition[[1, 3, 4, 5], 0]).all()
    assert np.isnan(coalition[[0, 2], 1]).all()
    assert coalition[3, 1] > coalition[3, 0]


def test_correlated_noise_helps_against_strangers():
    ring = Topology.build("ring", 8)
    link = [Adversary.edge(0, 1)]
    alone, shared = (network_epsilon(ring, 5, 1.0, 1e-5, correlated_multiplier=c, observers=link) for c in (0.0, 3.0))
    assert (shared[:2] < 0.7 * alone[:2]).all()
