"""Rounds of all nodes of a worker as rows of one matrix are those of nodes one by one, to the last byte."""

import numpy as np
import pytest
import torch
from reference.experiments import results, simulate, small
from reference.marks import first
from scipy.sparse import csr_array

from simulator import run
from simulator.backends import row_sums, rows
from simulator.backends.row_sums import RowSums
from simulator.backends.rows import Rows
from simulator.core.errors import RunError
from simulator.core.method import Method
from simulator.mixers.gossip import Gossip
from simulator.mixers.weighted_sum import summed

LOSSY = {"graph": "ring", "nodes": 6, "failures": {"links": 0.3, "nodes": 0.2, "mean_absence": 2}}
CASES = {
    "ring": {},
    "fp32": {"training": {"batch_size": 8, "optimizer": {"lr": 0.3, "momentum": 0.9}}},
    "torus": {"topology": {"graph": "torus", "nodes": 9}},
    "complete": {"topology": {"graph": "complete", "nodes": 5}},
    "irregular": {"topology": {"graph": "erdos_renyi", "nodes": 7, "probability": 0.5}},
    "directed": {"topology": {"graph": "exponential", "nodes": 5, "weights": "row_stochastic"}},
    "rate": {"mixer": {"name": "gossip", "rate": 0.4}},
    "early": {"mixer": {"name": "gossip", "order": "combine_then_adapt"}},
    "early at a rate": {"mixer": {"name": "gossip", "order": "combine_then_adapt", "rate": 0.4}},
    "failures": {"topology": LOSSY},
    "early failures": {"topology": LOSSY, "mixer": {"name": "gossip", "order": "combine_then_adapt"}},
    "changing links": {"topology": {"graph": "ring", "nodes": 6, "schedule": "random_matching"}},
    "methods": {"methods": ["quasi_global_momentum", "label_smoothing"]},
    "methods that fail": {"methods": ["quasi_global_momentum"], "topology": LOSSY},
    "one by one in training": {"training": {"batch_size": 16, "trainer": "sequential", "local_steps": 3}},
    "recorded": {"record": {"rounds": [2, 5]}},
}


@pytest.fixture
def carried(monkeypatch):
    """The rounds that were carried by rows, of every worker."""
    rounds, absorb = [], Rows.absorb

    def noted(self, *arguments):
        rounds.append(self._nodes[0].round)
        absorb(self, *arguments)

    monkeypatch.setattr(Rows, "absorb", noted)
    return rounds


@pytest.mark.parametrize("workers", first([3, 1]))
@pytest.mark.parametrize("case", CASES)
def test_rows_change_no_byte(case, workers, carried, tmp_path, monkeypatch):
    experiment = small(**{"backend": {"name": "local", "workers": workers}, **CASES[case]})
    by_rows = results(run(experiment, tmp_path / "rows").path)
    assert sorted({*carried}) == [
        round for round in range(1, 7) if round not in CASES[case].get("record", {}).get("rounds", ())
    ]
    monkeypatch.setattr(Rows, "of", classmethod(lambda *_: None))

    assert results(run(experiment, tmp_path / "nodes").path) == by_rows


@pytest.mark.parametrize(
    "asking",
    [
        {"mixer": "choco"},
        {"methods": [{"name": "idkd", "first_round": 3}]},
        {"topology": {"graph": "ring", "nodes": 6}, "adversaries": [{"nodes": [1], "attack": "sign_flip"}]},
        {"mixer": "median", "topology": {"graph": "complete", "nodes": 5}},
        {"methods": ["neighbourhood_gradient_clustering"], "mixer": {"name": "gossip", "order": "combine_then_adapt"}},
    ],
)
def test_what_asks_for_messages_gets_them(asking, carried, tmp_path):
    run(small(**asking), tmp_path)

    assert not carried


class Changed(Gossip):
    """Gossip that takes less than it hears."""

    def mix(self, node, inbox):
        super().mix(node, inbox)
        node.parameters.mul_(0.5)


def test_a_mixer_with_a_hook_of_its_own_is_carried_node_by_node():
    assert rows._is_last_word(Gossip)
    assert not rows._is_last_word(Changed)


def test_hooks_of_methods_are_lent_the_network(tmp_path):
    seen = []

    class Looking(Method):
        def before_round(self, node):
            seen.append(node.model.num_parameters)

        after_local_training = after_mixing = before_round

    simulate(small(rounds=2), tmp_path, lambda node: node.methods.append(Looking(None)))

    assert len(seen) == 2 * 3 * 4


def test_a_node_that_diverges_is_named(tmp_path):
    with pytest.raises(RunError, match=r"node \d.*diverged|diverged.*node \d"):
        run(small("training.optimizer.lr=1e200"), tmp_path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("length", [1, 17, 48, 496])
def test_sums_are_those_of_a_node(length, dtype, monkeypatch):
    monkeypatch.setattr(row_sums, "AT_ONCE", 5 * length * 8)  # several blocks
    rng = np.random.default_rng(0)
    weights = rng.choice([0.0, 0.25, 1 / 3, 0.1], (13, 13)) + np.eye(13)
    places, wanted = rng.permutation(13), rng.random(13) < 0.7
    terms = torch.randn(13, length, dtype=dtype)
    found = torch.zeros_like(terms)
    taken = list(RowSums(csr_array(weights), places, wanted, terms, found).taken())
    assert all(torch.equal(total, found[begin:end]) for begin, end, total in taken)

    for i in np.flatnonzero(wanted):
        row = {j: weights[i, j] for j in np.flatnonzero(weights[i])}
        assert torch.equal(found[i], summed(row, {j: terms[places[j]] for j in row}))
    assert not found[~wanted].any()
