"""Failures: what W promises after losses and absences, how often they strike, and what is refused."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.marks import MANY, first

from topologies import Failures, Topology, TopologyError, build_schedule

laws = settings(deadline=None, max_examples=25)
seeds, rates = st.integers(0, 99), st.floats(0, 0.9)


def erdos_renyi(nodes, seed, weights="metropolis_hastings"):
    return Topology.build("erdos_renyi", nodes, weights, probability=0.6, seed=seed)


def digraph(nodes, seed, weights):
    graph = nx.gnp_random_graph(nodes, 0.3, seed, directed=True)
    graph.add_edges_from((node, (node + 1) % nodes) for node in range(nodes))
    return Topology.from_networkx(graph, weights)


def away(failures, rounds, nodes=200):
    links = Topology.build("ring", nodes).links
    return ~np.array([failures.apply(links, round).active for round in rounds])


@laws
@given(st.integers(1, 12), seeds, rates, rates, st.integers(0, 10**6))
def test_symmetric_losses_keep_w_symmetric_and_the_mean(nodes, seed, lost, absent, round):
    scheduled = erdos_renyi(nodes, seed).links
    links = Failures(links=lost, nodes=absent, seed=seed).apply(scheduled, round)
    assert links.is_doubly_stochastic
    np.testing.assert_allclose(links.weights, links.weights.T, rtol=0, atol=1e-15)
    assert set(links.edges()) <= set(scheduled.edges())
    values = np.random.default_rng(seed).normal(size=nodes)
    assert (links.weights @ values).mean() == pytest.approx(values.mean(), abs=1e-14)


def test_one_sided_losses_do_not_keep_the_mean():
    topology = Topology.build("florentine")
    failures, start = Failures(links=0.3, symmetric=False), np.random.default_rng(0).normal(size=15)
    state, doubly = start, []
    for round in range(50):
        links = failures.apply(topology.links, round)
        np.testing.assert_allclose(links.weights.sum(axis=1), 1, rtol=0, atol=1e-12)
        doubly.append(links.is_doubly_stochastic)
        state = links.weights @ state
    assert not any(doubly)
    assert abs(state.mean() - start.mean()) > 1e-2


def test_losses_of_one_way_links_do_not_keep_the_mean_either():
    schedule = build_schedule("one_peer_exponential", Topology.build("ring", 8))
    assert not Failures(links=0.3).apply(schedule.at(0), 0).is_doubly_stochastic


@laws
@given(st.integers(2, 10), seeds, rates, rates, st.booleans(), st.integers(0, 10**6))
def test_push_keeps_its_columns_whatever_is_lost(nodes, seed, lost, absent, symmetric, round):
    failures = Failures(links=lost, nodes=absent, symmetric=symmetric or not lost, seed=seed)
    links = failures.apply(digraph(nodes, seed, "push").links, round)
    assert links.push
    assert links.is_column_stochastic


@pytest.mark.parametrize("name", ["static", "one_peer_exponential", pytest.param("random_matching", marks=MANY)])
def test_push_sum_reaches_the_mean_through_one_sided_losses_and_absences(name):
    schedule = build_schedule(name, erdos_renyi(9, 1, "push"), seed=3)
    failures = Failures(links=0.3, nodes=0.2, absences=((4, 1, 51),), symmetric=False, seed=5)
    values, mass = np.arange(9.0), np.ones(9)
    for round in range(600):
        weights = failures.apply(schedule.at(round), round).weights
        values, mass = weights @ values, weights @ mass
    assert mass.sum() == pytest.approx(9)
    np.testing.assert_allclose(values / mass, 4, atol=1e-9)


@laws
@given(seeds, rates, st.sampled_from(["row_stochastic", "push"]))
def test_nodes_away_keep_to_themselves(seed, lost, weights):
    failures = Failures(links=lost, nodes=0.3, absences=((1, 5, 7), (5, 1, 5)), seed=seed)
    for round, listed in ((0, {5}), (4, {1, 5}), (6, {1}), (7, set())):
        links = failures.apply(digraph(8, seed, weights).links, round)
        gone = np.flatnonzero(~links.active).tolist()
        assert listed <= set(gone)
        for node in gone:
            np.testing.assert_array_equal(links.weights[node], np.eye(8)[node])
            np.testing.assert_array_equal(links.weights[:, node], np.eye(8)[node])


@pytest.mark.parametrize(
    ("weights", "pair"),
    [("metropolis_hastings", [[0.75, 0.25], [0.25, 0.75]]), ("push", [[0.75, 0.5], [0.25, 0.5]])],
)
def test_lost_weight_by_hand(weights, pair):
    star = Topology.build("star", 4, weights).links
    links = Failures(absences=((2, 1, 1), (3, 1, 10))).apply(star, 0)
    np.testing.assert_allclose(
        links.weights, np.block([[np.array(pair), np.zeros((2, 2))], [np.zeros((2, 2)), np.eye(2)]])
    )
    assert links.active.tolist() == [True, True, False, False]
    assert Failures(absences=((1, 6, 6),)).apply(links, 5).active.tolist() == [True, False, False, False]


def test_nothing_fails_by_default():
    links = Topology.build("karate").links
    after = Failures().apply(links, 3)
    assert after.weights.tobytes() == links.weights.tobytes()
    assert after.active.all()


@pytest.mark.parametrize("options", [{}, {"mean_absence": 20.0}])
def test_any_round_can_be_computed_alone(options):
    links = erdos_renyi(12, 0).links
    failures = Failures(links=0.2, nodes=0.3, seed=1, **options)
    forwards = [failures.apply(links, round).weights for round in range(40)]
    again = Failures(links=0.2, nodes=0.3, seed=1, **options)
    backwards = [again.apply(links, round).weights for round in reversed(range(40))]
    np.testing.assert_array_equal(forwards, backwards[::-1])
    other = Failures(links=0.2, nodes=0.3, seed=2, **options)
    assert any((other.apply(links, round).weights != forwards[round]).any() for round in range(40))


@pytest.mark.parametrize("symmetric", [True, False])
def test_links_are_lost_at_the_given_rate(symmetric):
    links, failures = Topology.build("complete", 20).links, Failures(links=0.2, symmetric=symmetric, seed=4)
    lost = np.array([failures.apply(links, round).weights == 0 for round in range(100)])
    # 100 rounds of 190 or 380 draws: a standard deviation below 0.003.
    assert lost.sum() / (100 * 380) == pytest.approx(0.2, abs=0.01)
    both = (lost & lost.transpose(0, 2, 1)).sum() / lost.sum()
    assert both == pytest.approx(1 if symmetric else 0.2, abs=0.02)


@pytest.mark.parametrize("mean_absence", [None, 5, *first([1 / 0.7, 25], by_default=0)])
def test_nodes_are_away_at_the_given_rate_from_the_first_round_on(mean_absence):
    chains = [Failures(nodes=0.3, mean_absence=mean_absence, seed=seed) for seed in range(20)]
    for round in (0, 1, 60):
        shares = np.mean([away(chain, [round]) for chain in chains])
        assert shares == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize(("mean_absence", "expected"), [(None, 1 / 0.7), *first([(5, 5), (10, 10)])])
def test_absences_last_as_long_as_asked_for(mean_absence, expected):
    gone = away(Failures(nodes=0.3, mean_absence=mean_absence, seed=1), range(300))
    ends = gone[:-1] & ~gone[1:]
    assert gone[:-1].sum() / ends.sum() == pytest.approx(expected, rel=0.1)


def test_absences_are_independent_of_losses_and_of_the_other_nodes():
    gone = away(Failures(nodes=0.3, seed=1), range(300))
    with_losses = away(Failures(nodes=0.3, links=0.5, seed=1), range(300))
    np.testing.assert_array_equal(gone, with_losses)
    assert abs(np.corrcoef(gone[:, 0], gone[:, 1])[0, 1]) < 0.2
    assert abs(np.corrcoef(gone[1:].ravel(), gone[:-1].ravel())[0, 1]) < 0.02


@pytest.mark.parametrize(
    ("settings", "field", "text"),
    [
        ({"links": 1.0}, "links", "links is 1.0, outside [0, 1)"),
        ({"links": float("nan")}, "links", "outside [0, 1)"),
        ({"nodes": -0.1}, "nodes", "nodes is -0.1, outside [0, 1)"),
        ({"nodes": 0.5, "mean_absence": 1.5}, "mean_absence", "Set mean_absence to 2 or more"),
        ({"mean_absence": 0.0}, "mean_absence", "Set mean_absence to 1 or more"),
        ({"absences": ((-1, 1, 4),)}, "absences", "Node -1 cannot be away"),
        ({"absences": ((0, 5, 4),)}, "absences", "Node 0 cannot be away from round 5 to 4"),
        ({"absences": ((0, 0, 4),)}, "absences", "from round 0 to 4"),
    ],
)
def test_bad_settings_are_refused(settings, field, text):
    with pytest.raises(TopologyError) as caught:
        Failures(**settings)
    assert caught.value.field == field
    assert text in str(caught.value)


def test_absences_of_unknown_nodes_are_refused():
    failures = Failures(absences=((0, 1, 4), (5, 1, 4)))
    failures.check(6)
    for refused in (lambda: failures.check(5), lambda: failures.apply(Topology.build("ring", 5).links, 9)):
        with pytest.raises(TopologyError, match=r"There is no node 5 to be away. Nodes are 0\.\.4\."):
            refused()
