"""Runs in which some nodes lie: what honest nodes count, what is said of the network, and what changes nothing."""

import json
import signal

import numpy as np
import pytest
from reference.experiments import At, results, small
from safetensors.torch import load_file

from simulator import resume, run
from simulator.core.adversary import ADVERSARIES, Adversary
from simulator.core.registry import PartSettings
from simulator.core.training_set import TrainingSet

HONEST = {0, 1, 2, 4, 5}
NETWORK = {"topology": {"graph": "complete", "nodes": 6}, "rounds": 4}
MIMICKED = {"nodes": [3], "knowledge": "heard", "attack": "mimic"}
ATTACKS = {
    "heard": [MIMICKED, {"nodes": [4], "attack": {"name": "dissensus"}}],
    "omniscient": [
        {"nodes": [3], "knowledge": "omniscient", "attack": "ipm"},
        {"nodes": [4], "knowledge": "omniscient", "from_round": 3, "attack": {"name": "spectral", "strength": 2}},
    ],
    "poisoned": [
        {"nodes": [3], "attack": {"name": "backdoor", "replace": True}, "knowledge": "omniscient"},
        {"nodes": [4], "from_round": 2, "attack": "label_flip"},
    ],
}


def lie(attack, *nodes, **block):
    return [{"nodes": list(nodes or (3,)), "attack": attack, **block}]


def metrics(path, node="any"):
    """By (round, node, name), of the whole network alone where ``node`` is None."""
    lines = map(json.loads, (path / "metrics.jsonl").read_text().splitlines())
    found = {(line["round"], line["node"], line["name"]): line["value"] for line in lines}
    return {key: value for key, value in found.items() if node == "any" or key[1] is node}


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    return run(small(**NETWORK), tmp_path_factory.mktemp("honest")).path


@pytest.mark.parametrize("knowledge", ["omniscient", pytest.param("heard", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "attack",
    [
        {"name": "sign_flip", "strength": 0},
        {"name": "dissensus", "strength": 0},
        {"name": "label_flip", "share": 0},
        {"name": "backdoor", "share": 0, "replace": True},
    ],
    ids=lambda attack: attack["name"],
)
def test_an_attack_without_strength_changes_nothing(honest, tmp_path, attack, knowledge):
    path = run(small(**NETWORK, adversaries=lie(attack, knowledge=knowledge)), tmp_path).path
    _assert_same_course(path, honest)


def test_nor_does_one_that_never_begins(honest, tmp_path):
    path = run(small(**NETWORK, adversaries=lie("silent", from_round=5)), tmp_path).path
    _assert_same_course(path, honest)


def _assert_same_course(path, honest):
    """Each node's metrics and all messages, byte for byte; of the network, only who counts may differ."""
    assert (path / "messages.arrow").read_bytes() == (honest / "messages.arrow").read_bytes()
    own, expected = metrics(path), metrics(honest)
    of_nodes = {key: value for key, value in expected.items() if key[1] is not None}
    assert {key: own[key] for key in of_nodes} == of_nodes
    last = max(key[0] for key in expected)
    scores = [expected[last, node, "test/accuracy"] for node in sorted(HONEST)]
    assert own[last, None, "test/accuracy/mean"] == sum(scores) / len(scores)
    assert own[last, None, "test/accuracy/worst"] == min(scores)


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTACKS)
def test_the_number_of_workers_changes_nothing(tmp_path, name):
    one, two = (
        run(small(f"backend.workers={workers}", **NETWORK, adversaries=ATTACKS[name]), tmp_path / str(workers)).path
        for workers in (1, 2)
    )
    assert results(one) == results(two)


@pytest.mark.parametrize(
    "name", ["omniscient", *(pytest.param(name, marks=pytest.mark.slow) for name in ("heard", "poisoned"))]
)
def test_a_run_resumed_in_mid_attack_equals_one_that_never_stopped(tmp_path, name):
    experiment = small(
        **{**NETWORK, "rounds": 6}, adversaries=ATTACKS[name], checkpoint={"every": 1}, evaluate={"every": 4}
    )
    straight = run(experiment, tmp_path / "straight").path
    stopped = run(experiment, tmp_path / "stopped", [At(2, lambda: signal.raise_signal(signal.SIGINT))]).path
    resume(stopped)
    assert results(stopped) == results(straight)


def test_what_attackers_score_does_not_count(tmp_path):
    """One that nobody hears is as bad as can be, and nothing said of the network knows of it."""
    apart = {"topology": {"graph": "complete", "nodes": 6}, "rounds": 2}
    path = run(small(**apart, adversaries=lie("silent")), tmp_path).path
    found = metrics(path)
    scores = {node: found[2, node, "test/accuracy"] for node in range(6)}
    assert found[2, None, "test/accuracy/mean"] == pytest.approx(np.mean([scores[j] for j in {0, 1, 2, 4, 5}]))
    assert found[2, None, "attack/weight"] == 0


@pytest.mark.parametrize(
    ("attack", "refused"), [({"name": "non_finite"}, 2), ({"name": "gaussian", "strength": 1e30}, 2), ("silent", 0)]
)
def test_what_is_no_model_is_refused_and_counted_and_the_run_goes_on(tmp_path, attack, refused):
    """In each of two rounds, by each of the five honest nodes; they weigh themselves in its place."""
    path = run(small(**NETWORK, adversaries=lie(attack)), tmp_path).path
    found = metrics(path)
    assert {found[4, node, "attack/refused"] for node in HONEST} == {refused}
    assert {found[4, node, "attack/weight"] for node in HONEST} == {0}
    assert (4, 3, "attack/refused") not in found


class Moody(Adversary):
    """Sends what is no number in every other round."""

    class Config(PartSettings):
        name: str

    def craft(self, node, to, own, seen):
        return own * float("nan") if node.round % 2 else own


def test_what_is_lost_in_one_round_is_heard_again_in_the_next(tmp_path, register):
    register("adversaries", "moody", Moody)
    found = metrics(run(small(**NETWORK, adversaries=lie("moody")), tmp_path).path)
    assert found[4, 0, "attack/refused"] == 1  # in round 3, of the two since the last evaluation
    assert found[4, 0, "attack/weight"] == pytest.approx(1 / 6 / 2)
    assert found[4, 0, "attack/largest_weight"] == pytest.approx(1 / 6)


def test_attackers_refuse_what_is_no_model_as_others_do(tmp_path):
    """One beside another: it would take over what is no number."""
    lies = [{"nodes": [3], "attack": "non_finite"}, {"nodes": [4], "attack": "mimic"}]
    assert run(small(**NETWORK, adversaries=lies), tmp_path).status == "finished"


def test_weight_that_attackers_get_under_gossip_is_theirs_in_w(tmp_path):
    path = run(small(**NETWORK, adversaries=lie("sign_flip", 3, 5)), tmp_path).path
    found = metrics(path)
    assert found[4, 0, "attack/weight"] == pytest.approx(2 / 6)
    assert found[4, None, "attack/largest_weight"] == pytest.approx(2 / 6)
    assert found[4, None, "attack/dropped"] == found[4, None, "honest/dropped"] == 0


def test_drift_is_by_how_much_mixing_moves_the_mean_of_the_honest(tmp_path):
    """Gossip of honest nodes keeps it, up to the attacker's silence; a lie does not."""
    silent = metrics(run(small(**NETWORK, adversaries=lie("silent")), tmp_path / "silent").path)
    flipped = metrics(run(small(**NETWORK, adversaries=lie("sign_flip")), tmp_path / "flipped").path)
    assert silent[4, None, "honest/drift"] < 1e-14
    assert flipped[4, None, "honest/drift"] > 0.1


def test_scores_are_told_by_distance_to_the_nearest_attacker(tmp_path):
    ring = {"topology": {"graph": "ring", "nodes": 6}, "rounds": 2}
    found = metrics(run(small(**ring, adversaries=lie("silent", 3)), tmp_path).path)
    for links, nodes in {1: (2, 4), 2: (1, 5), 3: (0,)}.items():
        expected = np.mean([found[2, node, "test/accuracy"] for node in nodes])
        assert found[2, None, f"test/accuracy/at_distance_{links}"] == pytest.approx(expected)


def test_every_node_may_be_told_something_else_and_recordings_keep_it(tmp_path):
    lies = [{"nodes": [3], "knowledge": "omniscient", "attack": "dissensus"}]
    path = run(small(**NETWORK, adversaries=lies, record={"rounds": [4]}), tmp_path).path
    (file,) = (path / "recordings").glob("*/*3.safetensors")
    kept = load_file(file)
    sent = [kept[f"sent/parameters/{node}"] for node in sorted(HONEST)]
    assert len({each.numpy().tobytes() for each in sent}) == len(HONEST)


def test_a_backdoor_is_taught_and_its_success_measured(tmp_path):
    """Attackers who only poison samples teach the whole network the mark, while its accuracy stays."""
    many = {"topology": {"graph": "complete", "nodes": 6}, "rounds": 40, "evaluate": {"every": 40}}
    block = {"nodes": [3, 5], "attack": {"name": "backdoor", "size": 3, "target": 1}}
    found = metrics(run(small(**many, adversaries=[block]), tmp_path).path)
    assert found[0, None, "attack/backdoor_success"] < 0.5
    assert found[40, None, "attack/backdoor_success"] > 0.6
    assert found[40, None, "test/accuracy/mean"] > 0.6


def test_flipped_labels_are_k_minus_1_minus_y_from_the_round_on(tmp_path, monkeypatch):
    seen = []
    original = TrainingSet.next_batch

    def next_batch(self, *given):
        batch = original(self, *given)
        seen.append((self.poison is not None, batch.targets, self._data.train.targets_at(batch.positions)))
        return batch

    monkeypatch.setattr(TrainingSet, "next_batch", next_batch)
    run(small(**NETWORK, adversaries=lie("label_flip", from_round=3)), tmp_path)
    assert sum(poisoned for poisoned, _, _ in seen) == 2  # of rounds 3 and 4, one step each
    for poisoned, targets, stored in seen:
        assert targets.tolist() == (9 - stored if poisoned else stored).tolist()


@pytest.mark.parametrize(
    ("name", "knowledge"),
    [(name, "omniscient") for name in ADVERSARIES.names()]
    + [
        pytest.param(name, "heard", marks=pytest.mark.slow)
        for name in ADVERSARIES.names()
        if name not in ("ipm", "spectral")  # which refuse that
    ],
)
def test_every_attack_there_is_changes_honest_nodes(honest, tmp_path, name, knowledge):
    path = run(small(**NETWORK, adversaries=lie(name, knowledge=knowledge)), tmp_path).path
    own, expected = metrics(path), metrics(honest)
    assert own[4, 0, "test/loss"] != expected[4, 0, "test/loss"]
    assert np.isfinite(own[4, 0, "test/loss"])


def test_an_attack_of_ones_own_is_named_by_its_file(tmp_path):
    (tmp_path / "mine.py").write_text(
        """
from simulator.core.adversary import Adversary
from simulator.core.registry import PartSettings


class Louder(Adversary):
    class Config(PartSettings):
        name: str
        strength: float = 2.0

    def craft(self, node, to, own, seen):
        return own * self.config.strength
"""
    )
    block = lie({"name": "mine.py:Louder", "strength": 3.0})
    path = run(small(**NETWORK, adversaries=block, folder=tmp_path), tmp_path / "run").path
    assert metrics(path)[4, None, "attack/weight"] == pytest.approx(1 / 6)
    assert (path / "code" / "mine.py").exists()
