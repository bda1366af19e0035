"""LTC in runs of every kind: what it sees, what it sends, what it keeps, and that it can be without effect."""

import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from reference.conformance import MODEL
from reference.experiments import At, Messages, results, small
from reference.marks import first
from reference.network import Network, random_data, sgd
from torch.nn.functional import cross_entropy

from methods.ltc import LTC
from methods.ltc.class_means import JudgedBy
from simulator import load_experiment, resume, run
from simulator.core.errors import InputError, RunError
from simulator.core.method import Method
from simulator.core.node_program import NodeProgram
from simulator.runs.launch import branch
from topologies import Topology

MODES = {
    "eval_pass": {"name": "ltc", "use": "coreset", "after": 4, "share": 0.4},
    "byproduct": {"name": "ltc", "use": "coreset", "after": 4, "share": 0.4, "mode": "byproduct"},
}
SHARED = ("forgetting", "el2n", "aum", "probability_margin", "cumulative_loss")


class Spy(Method):
    """Keeps positions and losses of every step, round by round, and the parameters after each round's steps."""

    def __init__(self):
        super().__init__(None)
        self.steps, self.ends = [[]], []

    def per_sample_loss(self, node, batch, logits, losses):
        self.steps[-1].append((batch.positions.tolist(), losses.tolist()))
        return losses

    def after_local_training(self, node):
        self.steps.append([])
        self.ends.append(node.parameters.clone())


def ring(data=None, rounds=8, **settings):
    """Four nodes, two steps a round; each is spied on."""
    spies = [Spy() for _ in range(4)]
    network = Network(
        Topology.build("ring", 4),
        MODEL,
        data or [random_data(12, seed=seed) for seed in range(4)],
        sgd(0.2, batch_size=4, local_steps=2),
        methods=lambda node: [spies[node], LTC(LTC.Config(**settings))],
        rounds=rounds,
    )
    return network, spies


def saved(network, node=0):
    node = network.nodes[node]
    if not node.artifacts:
        with node.using(network.module):
            NodeProgram(node).finalize()
    (artifact,) = [artifact for name, artifact in node.artifacts if name == "scores"]
    return artifact.arrays


def losses(network, parameters, samples, preparation):
    everyone = torch.arange(len(samples))
    network.module.bind(parameters)
    logits = network.module.module(preparation(samples.inputs_at(everyone), torch.float64))
    return cross_entropy(logits, samples.targets_at(everyone), reduction="none").detach().numpy()


def by_hand(network, spy, ends, differences):
    """The score of every sample, from the parameters after local training."""
    data = network.nodes[0].data
    train, validation = (
        np.stack([losses(network, end, samples, data.preparation) for end in ends])
        for samples in (data.train, data.validation)
    )
    labels, known = (s.targets_at(torch.arange(len(s))).numpy() for s in (data.train, data.validation))
    means = np.stack([validation[:, known == c].mean(axis=1) for c in range(3)], axis=1)[:, labels]
    x, y = (np.diff(values, axis=0) if differences else values for values in (train, means))
    return [np.corrcoef(x[:, m], y[:, m])[0, 1] for m in range(len(labels))]


@pytest.mark.parametrize(("trajectory", "every"), [("differences", 1), ("differences", 2), ("raw", 1)])
def test_scores_are_those_of_the_formula(trajectory, every):
    network, spies = ring(trajectory=trajectory, every=every)
    network.run(8)

    expected = by_hand(network, spies[0], spies[0].ends[every - 1 :: every], trajectory == "differences")
    np.testing.assert_allclose(saved(network)["score/ltc"], expected, atol=1e-9)


def test_byproduct_takes_the_last_loss_in_a_batch_and_skips_checkpoints_without_one():
    network, spies = ring(rounds=30, mode="byproduct", every=2)
    network.run(30)
    found, data = saved(network), network.nodes[0].data
    labels, known = (s.targets_at(torch.arange(len(s))).numpy() for s in (data.train, data.validation))
    validation = [losses(network, end, data.validation, data.preparation) for end in spies[0].ends[1::2]]

    for m in range(12):
        x, y = [], []
        for checkpoint, values in enumerate(validation):
            steps = spies[0].steps[2 * checkpoint] + spies[0].steps[2 * checkpoint + 1]
            seen = [loss for places, each in steps for place, loss in zip(places, each, strict=True) if place == m]
            if seen:
                x.append(seen[-1])
                y.append(values[known == labels[m]].mean())
        assert found["points"][m] == len(x) - 1
        assert found["score/ltc"][m] == pytest.approx(np.corrcoef(np.diff(x), np.diff(y))[0, 1])
    assert found["points"].min() < 14


def test_a_class_without_validation_samples_is_judged_by_the_neighbours():
    data = [random_data(12, seed=seed) for seed in range(4)]
    everyone = torch.arange(12)
    for node, missing in ((0, [0]), (1, [0, 1]), (2, [1]), (3, [1])):
        labels = data[node].validation.targets_at(everyone)
        kept = (~torch.isin(labels, torch.tensor(missing))).nonzero()[:, 0]
        data[node] = replace(data[node], validation=data[node].validation.subset(kept))
    network, _ = ring(data)
    network.run(8)

    sources = [saved(network, node)["sources"].tolist() for node in range(4)]
    assert sources[0] == [JudgedBy.NEIGHBOURS, JudgedBy.OWN, JudgedBy.OWN]
    assert sources[1] == [JudgedBy.NEIGHBOURS, JudgedBy.NEIGHBOURS, JudgedBy.OWN]
    assert sources[2] == [JudgedBy.OWN, JudgedBy.NODE, JudgedBy.OWN]  # its neighbours 1 and 3 lack class 1 as well
    assert all(np.isfinite(saved(network, node)["score/ltc"]).all() for node in range(4))

    alone, _ = ring(data, share_means=False)
    alone.run(8)
    assert saved(alone)["sources"].tolist() == [JudgedBy.NODE, JudgedBy.OWN, JudgedBy.OWN]
    assert (saved(alone)["score/ltc"] != saved(network)["score/ltc"]).any()


def test_means_are_sent_at_checkpoints_only_and_their_bytes_are_counted(tmp_path):
    methods, sent = [{"name": "ltc", "use": "coreset", "after": 5, "every": 2, "score": "random"}], Messages()
    run(small(methods=methods), tmp_path, [sent])

    sizes = [(envelope.round, envelope.bytes_by_part.get("ltc.validation", 0)) for envelope in sent.all]
    assert {round for round, size in sizes if size} == {2, 4}
    assert {size for round, size in sizes if round in (2, 4)} == {4 * 10}

    silent = Messages()
    run(small(methods=[{**methods[0], "share_means": False}]), tmp_path / "silent", [silent])
    assert {part for envelope in silent.all for part in envelope.bytes_by_part} == {"parameters"}


@pytest.mark.parametrize("mode", first(["byproduct", "eval_pass"]))
@pytest.mark.parametrize("score", ["ltc", "el2n", "ccs"])
def test_after_the_choice_only_the_coreset_is_trained_on(mode, score):
    network, spies = ring(rounds=14, use="coreset", after=8, share=0.4, mode=mode, score=score)
    network.run(14)

    for node, spy in enumerate(spies):
        kept = set(np.flatnonzero(saved(network, node)["kept"]).tolist())
        before, after = (
            {place for steps in part for places, _ in steps for place in places}
            for part in (spy.steps[:8], spy.steps[8:])
        )
        assert before == set(range(12))
        assert after == kept
        assert 0.4 * 12 <= len(kept) < 0.4 * 12 + 3


def test_what_conflicts_is_dropped_and_nothing_else():
    network, spies = ring(rounds=12, use="drop", after=8)
    network.run(12)

    found = saved(network)
    after = {place for steps in spies[0].steps[8:] for places, _ in steps for place in places}
    assert after == set(np.flatnonzero(found["score/ltc"] >= 0).tolist())
    assert 0 < len(after) < 12


def test_a_node_left_with_nothing_ends_the_run_with_advice():
    network, _ = ring(use="drop", after=1)
    method = network.nodes[2].methods[1]
    scores = {name: np.full(12, -1.0) for name in ("ltc", "random", *SHARED)}
    method._watch.scores = lambda node: scores
    network.round()
    with pytest.raises(RunError, match=r"all samples of node 2 conflict[\s\S]*use: coreset"):
        network.round()


@pytest.mark.parametrize(
    ("mode", "trainer", "settings"),
    [
        ("eval_pass", "sequential", {"use": "report"}),
        ("byproduct", "sequential", {"use": "coreset", "after": 4, "share": 1.0}),
        ("eval_pass", "stacked", {"use": "coreset", "after": 4, "share": 1.0}),
        ("byproduct", "stacked", {"use": "report"}),
    ],
)
@pytest.mark.slow
def test_where_nothing_is_left_out_training_is_bit_identical(mode, trainer, settings, tmp_path):
    changes = (f"training.trainer={trainer}", "data.augment.crop=1", "training.precision=fp32")
    methods = [{"name": "ltc", "mode": mode, **settings}]
    with_it, without = (run(small(*changes, methods=m), tmp_path / str(len(m))) for m in (methods, []))

    for one, other in zip(with_it.nodes, without.nodes, strict=True):
        assert torch.equal(one.parameters, other.parameters)


@pytest.mark.parametrize(("mode", "stop"), first([("byproduct", 5), ("eval_pass", 2), ("byproduct", 2)]))
def test_stopped_and_resumed_is_as_never_stopped(mode, stop, tmp_path):
    experiment = small(rounds=7, methods=[MODES[mode]])
    whole = run(experiment, tmp_path / "whole").path
    path = run(experiment, tmp_path / "stopped", [At(stop, lambda: signal.raise_signal(signal.SIGINT))]).path
    assert resume(path).status == "finished"

    assert any("scores" in name for name in results(whole))
    assert results(path) == results(whole)


@pytest.mark.parametrize("mode", first(MODES))
def test_workers_and_trainers_agree(mode, tmp_path):
    def done(trainer, workers):
        changes = (f"training.trainer={trainer}", f"backend.workers={workers}")
        return run(small(*changes, rounds=10, methods=[MODES[mode]]), tmp_path / f"{trainer}{workers}")

    sequential, parallel, stacked = done("sequential", 1), done("sequential", 2), done("stacked", 1)
    assert results(parallel.path) == results(sequential.path)
    for one, other in zip(sequential.nodes, stacked.nodes, strict=True):
        torch.testing.assert_close(one.parameters, other.parameters, rtol=1e-8, atol=1e-10)


def test_competing_scores_are_those_of_the_trajectory_recorder(tmp_path):
    """Both watch the same run; the recorder's names and signs are its own."""
    methods = [{"name": "trajectories", "mode": "eval_pass"}, {"name": "ltc"}]
    directory = run(small(methods=methods), tmp_path).directory

    for recorded, scores in zip(directory.artifacts("trajectories"), directory.artifacts("scores"), strict=True):
        theirs = {"aum": -recorded.arrays["mean_margin"], "cumulative_loss": recorded.arrays["cumulative_loss"] / 6}
        theirs["probability_margin"] = -recorded.arrays["mean_probability_margin"]
        theirs |= {name: recorded.arrays[name] for name in ("el2n", "forgetting")}
        for name in SHARED:
            np.testing.assert_allclose(scores.arrays[f"score/{name}"], theirs[name], rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("mode", first(MODES))
def test_arms_that_choose_differently_share_the_rounds_before(mode, tmp_path):
    trunk, arm = (
        small(rounds=7, methods=[{**MODES[mode], **chosen}], checkpoint={"every": 4})
        for chosen in ({"share": 1.0}, {"score": "el2n", "prefer": "low"})
    )
    branched = branch(run(trunk, tmp_path / "trunk").path, 4, arm, tmp_path / "branched")

    assert results(branched.path) == results(run(arm, tmp_path / "alone").path)
    assert any(len(node.training_set) < len(node.data.train) for node in branched.nodes)


@pytest.mark.parametrize(
    ("method", "complaint"),
    [
        ({"every": 3}, r"methods\[0\].every: checkpoints in 6 rounds: 2; for scores by ltc it takes 3"),
        ({"every": 6, "trajectory": "raw"}, r"checkpoints in 6 rounds: 1; for scores by ltc it takes 2"),
        ({"every": 6, "score": "forgetting"}, r"checkpoints in 6 rounds: 1; for scores by forgetting it takes 2"),
        ({"use": "coreset", "after": 2}, r"checkpoints in 2 rounds: 2; for scores by ltc it takes 3"),
        ({"use": "coreset"}, r"methods\[0\].after: coreset happens after so many rounds"),
        ({"use": "drop", "after": 6}, r"methods\[0\].after: the choice would be made after 6 rounds"),
        ({"after": 3}, r"methods\[0\].after: has no effect with use: report"),
        ({"use": "drop", "after": 4, "score": "el2n"}, r"methods\[0\].score: el2n does not tell conflicting"),
        ({"score": "loss"}, r"methods\[0\].score: input should be 'ltc', 'random'"),
        ({"share": 0.0}, r"methods\[0\].share: input should be greater than 0"),
    ],
)
def test_bad_settings_are_refused(method, complaint):
    with pytest.raises(InputError, match=complaint):
        small(methods=[{"name": "ltc", **method}])


def test_validation_data_are_needed():
    with pytest.raises(InputError, match=r"ltc needs validation data[\s\S]*data.validation: 0.1"):
        small("data.validation=0", methods=[{"name": "ltc"}])


def test_private_gradients_do_not_cover_it():
    methods = [{"name": "dp_sgd", "noise_multiplier": 1.0}, {"name": "ltc"}]
    with pytest.raises(InputError, match="ltc sends losses of private samples"):
        small(methods=methods)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.exhaustive) for seed in (1, 2))])
def test_wrong_labels_get_low_scores(seed, tmp_path):
    done = run(
        load_experiment("ring-ltc-digits", [f"seed={seed}", "methods.0.use=report", "methods.0.after=null"]), tmp_path
    )
    score = np.concatenate([artifact.arrays["score/ltc"] for artifact in done.directory.artifacts("scores")])
    flipped = done.directory.partition()["train_flipped"]

    assert score[~flipped].mean() > score[flipped].mean() + 0.3
