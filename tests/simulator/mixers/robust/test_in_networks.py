"""Robust rules in networks: where they are gossip, where the nodes' mean is kept, and what carries over a restart."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from reference.experiments import results, small
from reference.mixing import about_to_mix, inbox
from reference.network import quadratics, sgd

from simulator import run
from simulator.core.mixer import MIXERS
from simulator.mixers.gossip import Gossip
from simulator.mixers.robust.clipped_gossip import ClippedGossip
from topologies import Topology

NEUTRAL = [
    {"name": "clipped_gossip", "tau": None},
    {"name": "clipped_gossip", "tau": 1e9},
    {"name": "cs_plus", "byzantine": 0},
    {"name": "gts", "byzantine": 0},
    {"name": "ios", "byzantine": 0},
]
FAILING = {"graph": "ring", "nodes": 5, "failures": {"links": 0.3, "nodes": 0.1}}


def ring(mixer, nodes=8, d=5):
    """Models on a ring, three times as far apart as normal ones, which nothing but mixing moves."""
    rng = np.random.default_rng(0)
    start = 3 * rng.normal(size=(nodes, d))
    topology = Topology.build("ring", nodes)
    return quadratics(topology, start, start, sgd(0.1), curvature=np.zeros(nodes), mixer=mixer)


@pytest.fixture(scope="module")
def by_gossip(tmp_path_factory):
    return results(run(small("rounds=10", topology=FAILING), tmp_path_factory.mktemp("gossip")).path)


@pytest.mark.parametrize("mixer", NEUTRAL, ids=str)
def test_where_nothing_is_suspicious_a_run_is_that_of_gossip_to_the_bit(tmp_path, mixer, by_gossip):
    assert results(run(small("rounds=10", topology=FAILING, mixer=mixer), tmp_path).path) == by_gossip


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"tau": 1.0}, True),
        ({"radius": "link", "delta": 1 / 3}, True),
        ({"radius": "node", "delta": 1 / 3}, False),
    ],
)
def test_the_mean_is_kept_by_radii_that_both_ends_of_a_link_share(settings, kept):
    network = ring(lambda: ClippedGossip(ClippedGossip.Config(**settings)))
    path = network.run(3)
    assert np.abs(path[-1] - path[0]).max() > 0.1
    weights = [node.mixer.influence(node) for node in network.nodes]
    assert any(weight < network.topology.weights[i, j] for i, row in enumerate(weights) for j, weight in row.items())
    drift = np.abs(path.mean(1) - path[0].mean(0)).max()
    assert drift < 1e-14 if kept else drift > 1e-3


@pytest.mark.parametrize(
    "mixer",
    [
        {"name": "median"},
        {"name": "nna", "byzantine": 1},
        {"name": "ios", "byzantine": 1},
        {"name": "gts", "byzantine": 0.2},
        {"name": "geometric_median"},
        {"name": "krum", "byzantine": 0},
    ],
    ids=str,
)
def test_selecting_rules_do_not_keep_the_mean(mixer):
    part = MIXERS.load(mixer["name"])
    path = ring(lambda: part(part.Config.model_validate(mixer))).run(1)
    assert np.abs(path.mean(1) - path[0].mean(0)).max() > 1e-1


def test_radii_of_a_link_are_those_of_the_round_before_and_the_first_round_mixes_nothing():
    network = ring(lambda: ClippedGossip(ClippedGossip.Config(radius="link", delta=1 / 3)))
    path = network.run(1)
    assert np.array_equal(path[1], path[0])
    told = {message.sender: message.parts["clip_radius"].item() for message in network.work()}
    for node in range(8):
        away = min(np.linalg.norm(path[0][node] - path[0][other % 8]) for other in (node - 1, node + 1))
        assert told[node] == pytest.approx(away)  # one neighbour counts, and delta is its weight


def test_a_node_that_lies_about_its_radius_is_clipped_at_that_of_the_other_end():
    network = ring(lambda: ClippedGossip(ClippedGossip.Config(radius="link", delta=1 / 3)))
    network.run(1)
    told = {"parameters": torch.full((5,), 1e6, dtype=torch.float64), "clip_radius": torch.tensor([torch.inf])}
    messages = network.work()
    own = {message.sender: message.parts["clip_radius"].item() for message in messages}
    messages = [replace(message, parts=told) if message.sender == 3 else message for message in messages]
    before = network.parameters
    network.absorb(messages)
    moved = np.linalg.norm(network.parameters - before, axis=1)
    assert all(moved[node] <= 2 / 3 * own[node] + 1e-12 for node in (2, 4))
    assert all(network.nodes[node].mixer.influence(network.nodes[node])[3] > 0 for node in (2, 4))


def test_influence_sums_to_1_and_is_what_mixing_did():
    """Of gossip its row; of one coordinate, the mixed model is the sum by it."""
    for name, settings in (
        ("gossip", {"rate": 0.3}),
        ("gossip", {"order": "combine_then_adapt"}),
        ("clipped_gossip", {"tau": 0.5}),
        ("cs_plus", {"byzantine": 0.3}),
        ("nna", {"byzantine": 1}),
        ("trimmed_mean", {"byzantine": 0}),
        ("median", {}),
        ("gts", {"byzantine": 0.1}),
        ("ios", {"byzantine": 1}),
        ("balance", {"gamma": 2.0, "alpha": 0.2}),
        ("geometric_median", {}),
        ("krum", {"byzantine": 0}),
    ):
        part = MIXERS.load(name)
        network = ring(lambda part=part, settings=settings: part(part.Config(**settings)), d=1)
        before = network.parameters
        network.round()
        for node in network.nodes:
            influence = node.mixer.influence(node)
            assert influence.keys() == node.weights.keys()
            assert sum(influence.values()) == pytest.approx(1, abs=1e-15)
            assert all(weight >= 0 for weight in influence.values())
            expected = sum(weight * before[j] for j, weight in influence.items())
            np.testing.assert_allclose(node.parameters.numpy(), expected, rtol=0, atol=1e-13)


def test_gossip_at_a_rate_gives_its_row_at_that_rate():
    network = ring(lambda: Gossip(Gossip.Config(rate=0.3)))
    network.round()
    node = network.nodes[4]
    assert node.mixer.influence(node) == pytest.approx({3: 0.1, 4: 0.8, 5: 0.1})
    assert node.mixer.averages(node) == node.mixer.influence(node)


def test_influence_by_coordinates_is_the_share_in_which_a_value_was_used():
    """Of two coordinates, node 1's value is the median of one, and its own that of the other."""
    part = MIXERS.load("median")
    start = np.array([[0.0, 0.0], [1.0, -1.0], [2.0, 1.0]])
    topology = Topology.build("complete", 3)
    network = quadratics(topology, start, start, sgd(0.1), curvature=np.zeros(3), mixer=lambda: part(part.Config()))
    network.round()
    assert network.nodes[0].mixer.influence(network.nodes[0]) == {0: 0.5, 1: 0.5, 2: 0.0}
    assert network.parameters[0].tolist() == [1.0, 0.0]


def test_of_equal_values_that_of_the_smaller_id_counts_as_the_smaller_one():
    x = np.array([[0.0], [1.0], [1.0], [2.0], [3.0]])
    node = about_to_mix(lambda: MIXERS.load("trimmed_mean")(MIXERS.load("trimmed_mean").Config(byzantine=1)), x)
    node.mixer.mix(node, inbox(node, x))
    assert node.mixer.influence(node) == pytest.approx({0: 1 / 3, 1: 0, 2: 1 / 3, 3: 1 / 3, 4: 0})


def test_before_a_round_no_rule_has_given_any_weight():
    network = ring(lambda: MIXERS.load("nna")(MIXERS.load("nna").Config()))
    assert network.nodes[0].mixer.influence(network.nodes[0]) is None
