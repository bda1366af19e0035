"""Attacks against rules, end to end, in seconds: what gossip loses, and what robust rules keep."""

import json

import numpy as np
import pytest
import torch
from reference.experiments import simulate, small

from simulator import run
from topologies import Topology

DIGITS = {
    "rounds": 25,
    "topology": {"graph": "complete", "nodes": 10},
    "data": {"dataset": "digits", "partition": "iid"},
    "model": {"name": "mlp", "hidden": [32]},
    "training": {"batch_size": 32, "local_steps": 2, "optimizer": {"lr": 0.2}, "trainer": "stacked"},
    "evaluate": {},
}
FLIPPING = [{"nodes": [3, 7], "attack": {"name": "sign_flip", "strength": 4}}]  # 8 x - 2 * 4 x = 0


def accuracy(path, **changes):
    done = run(small(**{**DIGITS, **changes}), path)
    lines = map(json.loads, (done.path / "metrics.jsonl").read_text().splitlines())
    return [line["value"] for line in lines if line["name"] == "test/accuracy/mean"][-1]


@pytest.mark.slow
def test_two_sign_flippers_of_ten_ruin_gossip_and_not_robust_rules(tmp_path):
    assert accuracy(tmp_path / "gossip", adversaries=FLIPPING) < 0.3
    without = accuracy(tmp_path / "without")
    for rule in ("trimmed_mean", "cs_plus", "nna"):
        mixer = {"name": rule, "byzantine": 2}
        assert accuracy(tmp_path / rule, adversaries=FLIPPING, mixer=mixer) > without - 0.03, rule


@pytest.mark.slow
def test_where_nodes_hold_different_digits_and_nobody_lies_krum_costs_much_of_what_gossip_has(tmp_path):
    skewed = {"data": {"dataset": "digits", "partition": {"name": "dirichlet", "alpha": 0.1}}}
    krum = accuracy(tmp_path / "krum", **skewed, mixer={"name": "krum", "byzantine": 2})
    assert krum < accuracy(tmp_path / "gossip", **skewed) - 0.1


CS_PLUS = {"name": "cs_plus"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mixer", "attackers", "agree"),
    [(CS_PLUS, 3, True), (CS_PLUS, 9, False), pytest.param({"name": "gossip"}, 3, False, marks=pytest.mark.exhaustive)],
)
def test_along_the_weakest_cut_cs_plus_agrees_below_a_quarter_of_mu_2_and_not_above_half(
    tmp_path, mixer, attackers, agree
):
    """Two cliques with 8 links a node between them have mu_2 = 16; every honest node hears all attackers."""
    worlds = Topology.build("two_worlds", 26, links=8).graph
    lying = range(26, 26 + attackers)
    links = {(min(link), max(link)) for link in worlds.edges} | {(i, a) for a in lying for i in range(26)}
    file = tmp_path / "worlds.edges"
    file.write_text("\n".join(f"{i},{j}" for i, j in sorted(links)))
    experiment = small(
        rounds=15,
        topology={"graph": "from_file", "path": str(file)},
        data={"dataset": "digits", "partition": "iid", "train_samples": 400, "test_samples": 20},
        model={"name": "mlp", "hidden": [1]},
        training={"precision": "fp64", "optimizer": {"lr": 1e-12}},  # nothing but mixing moves them
        mixer={**mixer, **({"byzantine": attackers} if mixer is CS_PLUS else {})},
        adversaries=[{"nodes": list(lying), "knowledge": "omniscient", "attack": "spectral"}],
        evaluate={},
    )
    starts = {}

    def part(node):
        drawn = np.random.default_rng(node.id).normal(size=len(node.parameters))
        node.parameters.copy_(torch.from_numpy(drawn + (5 if node.id < 13 else -5)))
        starts[node.id] = node.parameters.clone()

    honest = simulate(experiment, tmp_path / "run", part)[:26]
    before = _variance([starts[node.id] for node in honest])
    after = _variance([node.parameters for node in honest])
    assert after < 1e-6 * before if agree else after > 0.9 * before


def _variance(models):
    x = torch.stack(models)
    return (x - x.mean(0)).square().sum(1).mean().item()


def test_a_rule_given_away_by_its_radius_lets_attackers_drift(tmp_path):
    """Nothing that is clipped is without weight: the honest mean moves, by at most the weight times the radius."""
    mixer = {"name": "clipped_gossip", "tau": 0.5}
    done = run(small(**{**DIGITS, "rounds": 4}, adversaries=FLIPPING, mixer=mixer), tmp_path)
    lines = map(json.loads, (done.path / "metrics.jsonl").read_text().splitlines())
    drift = [line["value"] for line in lines if line["name"] == "honest/drift"][-1]
    assert 0.01 < drift <= 2 / 10 * 0.5 + 1e-9
