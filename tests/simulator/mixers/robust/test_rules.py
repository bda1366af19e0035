"""What the rules make of models: values worked out by hand, naive rules with loops, and what no neighbour can do."""

from itertools import permutations

import numpy as np
import pytest
import torch
from reference import robust_rules as naive
from reference.mixing import about_to_mix, inbox, mixed

from simulator.core.mixer import MIXERS
from simulator.mixers.gossip import Gossip

LINE = np.array([[0.0], [1.0], [2.0], [10.0]])  # node 0 at 0 hears 1, 2 and 10
BY_HAND = [
    ("gossip", {}, 3.25),
    ("clipped_gossip", {"tau": None}, 3.25),
    ("clipped_gossip", {"tau": 2}, 1.25),
    ("clipped_gossip", {"radius": "node", "delta": 0.25}, (1 + 2 + 5**0.5) / 4),
    ("cs_plus", {"byzantine": 0.25}, 0.75),
    ("cs_plus", {"byzantine": 1}, 0.75),
    ("nna", {"byzantine": 1}, 1.0),
    ("trimmed_mean", {"byzantine": 1}, 1.0),  # BRIDGE-T; over all four it would be 1.5
    ("median", {}, 1.5),
    ("gts", {"byzantine": 0.25}, 0.75),
    ("gts", {"byzantine": 1}, 0.75),
    ("ios", {"byzantine": 1}, 1.0),
    ("ios", {"byzantine": 0}, 3.25),
    ("balance", {}, 0.0),  # nobody is within a share of the own model's length, which is 0
    ("geometric_median", {"iterations": 1}, (1 / 1 + 2 / 2 + 10 / 10) / (1 / 0.1 + 1 + 1 / 2 + 1 / 10)),
]
NAIVE = {
    "clipped_gossip": ({"tau": 1.5}, lambda x, own, w: naive.clipped(x, own, w, 1.5)),
    "cs_plus": ({"byzantine": 0.15}, lambda x, own, w: naive.cs_plus(x, own, w, 0.15)),
    "nna": ({"byzantine": 2}, lambda x, own, w: naive.nna(x, own, 2)),
    "trimmed_mean": ({"byzantine": 2}, lambda x, own, w: naive.trimmed_mean(x, own, 2)),
    "median": ({}, lambda x, own, w: naive.median(x)),
    "gts": ({"byzantine": 1}, lambda x, own, w: naive.gts(x, own, w, np.delete(w, own).max())),
    "ios": ({"byzantine": 2}, lambda x, own, w: naive.ios(x, own, w, 2)),
    "balance": ({"gamma": 1.6, "kappa": 2.0}, lambda x, own, w: naive.balance(x, own, 0.5, 1.6, 2.0, 1 / 10)),
    "geometric_median": ({"nu": 0.3}, lambda x, own, w: naive.geometric_median(x, own, 8, 0.3)),
    "krum": ({"byzantine": 1, "keep": 2}, lambda x, own, w: naive.krum(x, 1, 2)),
}
BY_COORDINATE = ("trimmed_mean", "median")
PULLS = ("clipped_gossip", "cs_plus", "geometric_median")  # rules in which who is far has some weight, but little
# Nodes that agree stay to the bit where sums of weights are exact, such as those of so many models:
EXACT = {"clipped_gossip": 8, "cs_plus": 8, "nna": 6, "trimmed_mean": 8, "median": 8, "krum": 8}


def rule(name, **settings):
    part = MIXERS.load(name)
    config = part.Config.model_validate({"name": name, **settings})
    return lambda: part(config)


def cases(names=NAIVE):
    return pytest.mark.parametrize("name", names)


def random_case(seed, n=7, d=5):
    """Models, and a row of W whose weights differ."""
    rng = np.random.default_rng(seed)
    w = rng.uniform(0.5, 1.5, n)
    return rng.normal(size=(n, d)), int(rng.integers(n)), w / w.sum()


@pytest.mark.parametrize("order", list(permutations((1, 2, 3))), ids=str)
@pytest.mark.parametrize(("name", "settings", "value"), BY_HAND, ids=str)
def test_values_by_hand_in_every_order_of_arrival(name, settings, value, order):
    assert mixed(rule(name, **settings), LINE, order=order) == pytest.approx([value], abs=1e-12)


@cases()
def test_every_rule_is_the_naive_one(name):
    settings, oracle = NAIVE[name]
    for seed in range(50):
        x, own, w = random_case(seed)
        np.testing.assert_allclose(mixed(rule(name, **settings), x, own, w), oracle(x, own, w), rtol=0, atol=1e-12)


def test_the_radius_of_a_node_is_the_practical_one_of_the_paper():
    for seed in range(50):
        x, own, w = random_case(seed)
        expected = naive.clipped(x, own, w, naive.practical_radius(x, own, w, 0.3))
        found = mixed(rule("clipped_gossip", radius="node", delta=0.3), x, own, w)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@cases()
def test_nodes_that_agree_stay_where_they_are(name):
    """No rule divides by their distance, which is 0."""
    settings, _ = NAIVE[name]
    x = np.tile(np.random.default_rng(0).normal(size=5), (EXACT.get(name, 8), 1))
    assert name not in EXACT or np.array_equal(mixed(rule(name, **settings), x), x[0])
    np.testing.assert_allclose(mixed(rule(name, **settings), x[:5]), x[0], rtol=1e-15, atol=0)


@cases()
def test_rules_follow_shifts_scalings_and_turns(name):
    settings, _ = NAIVE[name]
    x, own, w = random_case(1)
    rng = np.random.default_rng(2)
    scale, shift = 3.5, rng.normal(size=5)
    turn = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    if name in BY_COORDINATE:
        assert not np.allclose(
            mixed(rule(name, **settings), x @ turn, own, w), mixed(rule(name, **settings), x, own, w) @ turn
        )
        turn = np.eye(5)[rng.permutation(5)]
    if name == "balance":  # measures by the length of the own model, so it depends on where 0 is
        assert not np.allclose(
            mixed(rule(name, **settings), x + 9, own, w), mixed(rule(name, **settings), x, own, w) + 9
        )
        shift = np.zeros(5)
    larger = {key: value * scale if key in ("tau", "nu") else value for key, value in settings.items()}
    found = mixed(rule(name, **larger), scale * x @ turn + shift, own, w)
    np.testing.assert_allclose(found, scale * mixed(rule(name, **settings), x, own, w) @ turn + shift, atol=1e-12)


@cases()
@pytest.mark.parametrize("value", [1e30, -1e30])
def test_one_neighbour_at_1e30_does_no_more_than_the_rule_allows(name, value):
    settings, _ = NAIVE[name]
    x, own, w = random_case(3)
    x[(own + 1) % 7] = value
    honest = np.delete(x, (own + 1) % 7, axis=0)
    found = mixed(rule(name, **settings), x, own, w)
    if name in PULLS:
        assert np.linalg.norm(found - x[own]) <= np.linalg.norm(honest - x[own], axis=1).max()
    else:
        assert (honest.min(0) <= found).all()
        assert (found <= honest.max(0)).all()
    assert np.abs(mixed(lambda: Gossip(Gossip.Config()), x, own, w)).max() > 1e28


@cases()
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200, "shape"])
def test_what_can_be_no_model_is_counted_and_left_out_as_if_it_were_lost(name, bad):
    settings, oracle = NAIVE[name]
    x, _, w = random_case(4, n=8)
    node = about_to_mix(rule(name, **settings), x, 0, w)
    messages = inbox(node, x)
    if bad == "shape":
        messages[-1].parts["parameters"] = torch.zeros(4, dtype=torch.float64)
    else:
        messages[-1].parts["parameters"][2] = bad
    node.mixer.mix(node, messages)
    left = np.append(w[0] + w[7], w[1:7])
    np.testing.assert_allclose(node.parameters.numpy(), oracle(x[:7], 0, left), rtol=0, atol=1e-12)
    assert [(metric.name, metric.value) for metric in node.metrics] == [(f"{name}/rejected", 1.0)]
    assert node.mixer.influence(node)[7] == 0
    assert node.weights[7] == w[7]  # which methods may still have to do with


@cases()
def test_messages_that_are_missing_leave_less_to_choose_from(name):
    settings, oracle = NAIVE[name]
    x, _, w = random_case(5)
    node = about_to_mix(rule(name, **settings), x, 0, w)
    node.weights = node.without(node.weights, {2, 6})
    node.mixer.mix(node, [message for message in inbox(node, x) if message.sender not in (2, 6)])
    kept = [0, 1, 3, 4, 5]
    left = np.append(w[0] + (w[2] + w[6]), w[[1, 3, 4, 5]])
    if name == "trimmed_mean":  # of four neighbours, two at either end are too many
        oracle = lambda x, own, w: naive.trimmed_mean(x, own, 1)  # noqa: E731
        assert [(metric.name, metric.value) for metric in node.metrics] == [("trimmed_mean/byzantine", 1.0)]
    np.testing.assert_allclose(node.parameters.numpy(), oracle(x[kept], 0, left), rtol=0, atol=1e-12)


@cases()
def test_who_hears_nobody_keeps_its_model(name):
    settings, _ = NAIVE[name]
    x = random_case(6)[0]
    node = about_to_mix(rule(name, **settings), x)
    node.weights = {0: 1.0}
    node.mixer.mix(node, [])
    assert np.array_equal(node.parameters.numpy(), x[0])
    assert node.mixer.influence(node) == {0: 1.0}


def test_of_equally_near_neighbours_those_with_the_smaller_ids_are_kept():
    x = np.array([[0.0], [1.0], [-1.0], [1.0], [-1.0]])
    assert mixed(rule("nna", byzantine=2), x) == pytest.approx([0.0])
    assert mixed(rule("nna", byzantine=2), x[[0, 2, 4, 1, 3]]) == pytest.approx([-2 / 3])


@cases(["cs_plus", "nna", "gts", "krum"])
def test_ties_fall_to_the_smaller_id(name):
    """Of models on a grid, many are equally far."""
    settings, oracle = NAIVE[name]
    for seed in range(100):
        _, own, w = random_case(seed)
        x = np.random.default_rng(seed).integers(0, 3, size=(7, 2)).astype(float)
        np.testing.assert_allclose(mixed(rule(name, **settings), x, own, w), oracle(x, own, w), rtol=0, atol=1e-12)


def test_gts_keeps_the_weight_that_may_not_lie_and_takes_it_from_the_farthest_first():
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        x, own, w = random_case(seed, n=int(rng.integers(2, 9)), d=2)
        b = rng.uniform(0.01, 1 - w[own])
        node = about_to_mix(rule("gts", byzantine=b), x, own, w)
        node.mixer.mix(node, inbox(node, x))
        given = np.array([node.mixer.influence(node)[j] for j in range(len(x))])
        order = [j for j in np.argsort(np.linalg.norm(x - x[own], axis=1)) if j != own]
        assert w[own] + given[order].sum() == pytest.approx(1 - b, abs=1e-12)
        partly = [j for j in order if 1e-12 < given[j] < w[j] - 1e-12]
        assert len(partly) <= 1
        whole = [j for j in order if given[j] >= w[j] - 1e-12]
        assert order[: len(whole) + len(partly)] == whole + partly


def test_nna_is_gts_with_the_dropped_weight_shared_among_all_that_are_kept():
    for seed in range(50):
        x, own, _ = random_case(seed)
        trimmed = mixed(rule("gts", byzantine=2), x, own)
        expected = (7 * trimmed - 2 * x[own]) / 5
        np.testing.assert_allclose(mixed(rule("nna", byzantine=2), x, own), expected, rtol=0, atol=1e-12)


def test_a_geometric_median_of_few_iterations_is_what_the_papers_get():
    assert mixed(rule("geometric_median", iterations=3), LINE) == pytest.approx([0.99968], abs=5e-6)
    assert mixed(rule("geometric_median"), LINE) == pytest.approx([1.09998], abs=5e-6)


def test_a_geometric_median_has_no_smaller_sum_of_distances_near_it():
    x, own, w = random_case(0, n=9)
    found = mixed(rule("geometric_median", iterations=300, nu=1e-6), x, own, w)
    least = np.linalg.norm(x - found, axis=1).sum()
    for step in np.random.default_rng(1).normal(size=(100, 5)):
        assert np.linalg.norm(x - found - 0.01 * step, axis=1).sum() > least


def test_balance_accepts_less_from_round_to_round():
    """The own model is at 1; the neighbour at 1.2 is within 0.3 exp(-t / T) until that is below 0.2."""
    node = about_to_mix(rule("balance"), np.array([[1.0], [1.2]]))
    found = []
    for finished in range(10):
        node.finished = finished
        node.parameters.fill_(1.0)
        node.mixer.mix(node, inbox(node, np.array([[1.0], [1.2]])))
        found.append(node.parameters.item())
    assert found == pytest.approx([1.1] * 4 + [1.0] * 6)  # exp(-0.4) = 0.670, exp(-0.5) = 0.607; 2 / 3 is between


def test_krum_is_one_of_the_models_and_has_no_account_of_who_it_is_at():
    x, own, w = random_case(7)
    x[own] += 100
    node = about_to_mix(rule("krum", byzantine=2), x, own, w)
    node.mixer.mix(node, inbox(node, x))
    (chosen,) = [j for j, weight in node.mixer.influence(node).items() if weight]
    assert chosen != own
    assert np.array_equal(node.parameters.numpy(), x[chosen])


def test_clipped_models_move_no_further_than_the_radius_allows():
    for seed in range(50):
        x, own, w = random_case(seed)
        away = np.linalg.norm(x - x[own], axis=1)
        bound = (w * np.minimum(away, 1.5)).sum()
        assert np.linalg.norm(mixed(rule("clipped_gossip", tau=1.5), x, own, w) - x[own]) <= bound + 1e-12


def test_cs_plus_clips_twice_the_weight_that_may_lie_and_not_one_neighbour_more():
    """Who is at the radius is not clipped: those beyond it weigh 2b at least, or the farthest that is left does."""
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        x, own, w = random_case(seed, n=int(rng.integers(3, 9)), d=2)
        b = rng.uniform(0.01, (1 - w[own]) / 2)
        node = about_to_mix(rule("cs_plus", byzantine=b), x, own, w)
        node.mixer.mix(node, inbox(node, x))
        given = np.array([node.mixer.influence(node)[j] for j in range(len(x))])
        away = np.linalg.norm(x - x[own], axis=1)
        clipped = [j for j in np.argsort(-away) if j != own and given[j] < w[j] * (1 - 1e-9)]
        assert w[clipped].sum() >= 2 * b - 1e-12
        assert w[clipped[:-1]].sum() < 2 * b
        assert clipped == [j for j in np.argsort(-away) if j != own][: len(clipped)]
