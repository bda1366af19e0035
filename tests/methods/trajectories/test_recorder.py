"""The recorder of trajectories: what it sees, in runs of every kind, and that training does not notice."""

import signal

import numpy as np
import pytest
import torch
from reference.conformance import MODEL
from reference.experiments import At, results, small
from reference.marks import first
from reference.network import Network, random_data, sgd
from torch.nn.functional import cross_entropy

from methods.trajectories import TrajectoryRecorder
from methods.trajectories.report import area
from simulator import resume, run
from simulator.core.errors import InputError
from simulator.core.method import Method
from simulator.core.node_program import NodeProgram
from simulator.results.recordings import Recordings
from simulator.runs.report import write_run_report
from simulator.training.trajectories import suspicion
from topologies import Topology

METHODS = {
    "byproduct": {"name": "trajectories", "keep": True, "validation": True, "every": 3},
    "eval_pass": {"name": "trajectories", "mode": "eval_pass", "every": 2, "early": 2},
}
NOISE = "data.corruption.labels={name: symmetric, rate: 0.1}"


class Spy(Method):
    """Keeps what training shows: positions and losses of every step, and the parameters after each round's steps."""

    def __init__(self):
        super().__init__(None)
        self.steps, self.ends = [], []

    def per_sample_loss(self, node, batch, logits, losses):
        self.steps.append((batch.positions.tolist(), losses.tolist(), logits.argmax(dim=1).tolist()))
        return losses

    def after_local_training(self, node):
        self.ends.append(node.parameters.clone())


def pair(rounds=5, public=0, **settings):
    """Two nodes of six samples each, batches of four, so that a batch can hold a sample twice; node 0 is spied on."""
    spy, recorder = Spy(), TrajectoryRecorder(TrajectoryRecorder.Config(**settings))
    network = Network(
        Topology.build("complete", 2),
        MODEL,
        [random_data(6, seed=seed, public=public) for seed in range(2)],
        sgd(0.2, batch_size=4, local_steps=2),
        methods=lambda node: [spy, recorder] if node == 0 else [],
        rounds=rounds,
    )
    return network, spy


def saved(network, name="trajectories"):
    node = network.nodes[0]
    with node.using(network.module):
        NodeProgram(node).finalize()
    return dict(node.artifacts)[name].arrays


def test_byproduct_is_what_training_computes():
    network, spy = pair(keep=True)
    network.run(5)
    found, labels = saved(network), network.nodes[0].data.train.targets_at(torch.arange(6)).tolist()

    losses, correct = [[] for _ in range(6)], [[] for _ in range(6)]
    for positions, values, classes in spy.steps:
        for position, loss, predicted in zip(positions, values, classes, strict=True):
            losses[position].append(loss)
            correct[position].append(predicted == labels[position])
    assert any(len(set(positions)) < 4 for positions, _, _ in spy.steps)
    for sample in range(6):
        np.testing.assert_allclose(found["losses"][: len(losses[sample]), sample], losses[sample], rtol=1e-12)
        changes = sum(a and not b for a, b in zip(correct[sample], correct[sample][1:], strict=False))
        assert found["forgetting"][sample] == (changes if any(correct[sample]) else len(correct[sample]))
    assert found["index"].tolist() == list(range(6))


def test_public_samples_are_left_out():
    network, spy = pair(public=5)
    network.nodes[0].training_set.set_public(torch.arange(5), torch.full((5, 3), 1 / 3))
    network.run(5)

    private = [position for positions, _, _ in spy.steps for position in positions if position < 6]
    assert len(private) < 40
    assert saved(network)["observations"].tolist() == np.bincount(private, minlength=6).tolist()


def test_eval_pass_looks_at_everything_after_local_training():
    network, spy = pair(rounds=6, mode="eval_pass", every=2, keep=True, validation=True)
    network.run(6)
    data = network.nodes[0].data

    for name, samples in (("trajectories", data.train), ("trajectories_validation", data.validation)):
        everyone, expected = torch.arange(len(samples)), []
        for parameters in spy.ends[1::2]:
            network.module.bind(parameters)
            logits = network.module.module(data.preparation(samples.inputs_at(everyone), torch.float64))
            expected.append(cross_entropy(logits, samples.targets_at(everyone), reduction="none").tolist())
        found = saved(network, name)
        np.testing.assert_allclose(found["losses"], expected, rtol=1e-10)
        assert (found["observations"] == 3).all()


@pytest.mark.parametrize("trainer", ["sequential", "stacked"])
@pytest.mark.parametrize("mode", first(METHODS))
@pytest.mark.slow
def test_training_is_bit_identical(mode, trainer, tmp_path):
    idkd = {"name": "idkd", "first_round": 3, "every": 2}
    overrides = (f"training.trainer={trainer}", "data.augment.crop=1", "training.precision=fp32")
    with_it, without = (
        run(small(*overrides, methods=methods), tmp_path / str(len(methods)))
        for methods in ([METHODS[mode], idkd], [idkd])
    )

    for one, other in zip(with_it.nodes, without.nodes, strict=True):
        assert torch.equal(one.parameters, other.parameters)
    assert with_it.metrics() == without.metrics()


@pytest.mark.parametrize("mode", first(METHODS))
def test_stopped_and_resumed_is_as_if_it_had_never_stopped(mode, tmp_path):
    experiment = small(NOISE, rounds=7, methods=[METHODS[mode]])
    whole = run(experiment, tmp_path / "whole").path
    path = run(experiment, tmp_path / "stopped", [At(4, lambda: signal.raise_signal(signal.SIGINT))]).path
    assert resume(path).status == "finished"

    assert any("trajectories" in name for name in results(whole))
    assert results(path) == results(whole)


@pytest.mark.slow
@pytest.mark.parametrize("mode", first(METHODS))
def test_stacked_sees_what_sequential_sees(mode, tmp_path):
    def arrays(trainer, workers):
        changes = (NOISE, f"training.trainer={trainer}", f"backend.workers={workers}", "training.local_steps=3")
        done = run(small(*changes, methods=[METHODS[mode]]), tmp_path / f"{trainer}{workers}")
        return [kept.arrays for kept in done.directory.artifacts("trajectories")]

    sequential, parallel, stacked = arrays("sequential", 1), arrays("sequential", 2), arrays("stacked", 1)
    for one, two, other in zip(sequential, parallel, stacked, strict=True):
        for name, values in one.items():
            np.testing.assert_array_equal(values, two[name])
            np.testing.assert_allclose(values, other[name], rtol=1e-9, atol=1e-9)


def test_a_sample_that_never_came_up_is_told_apart(tmp_path):
    done = run(small("training.batch_size=4", rounds=2, methods=[{"name": "trajectories"}]), tmp_path)

    for kept in done.directory.artifacts("trajectories"):
        never = kept.arrays["observations"] == 0
        assert never.sum() == len(never) - 8
        assert all(np.isnan(score[never]).all() for score in suspicion(kept.arrays).values())
    (section,) = TrajectoryRecorder.sections(TrajectoryRecorder.Config(), done.directory)
    assert "were never classified correctly" in section.verdict


def test_norms_of_weights_are_those_of_the_models_that_nodes_sent_and_peak_where_the_report_says(tmp_path):
    changes = ("training.optimizer.weight_decay=0.05", "topology.failures.absences=[[3, 1, 3]]", "rounds=6")
    done = run(small(*changes, methods=[{"name": "trajectories"}], record={"every": 1}), tmp_path)
    kept, recordings = done.directory.artifacts("trajectories_weights"), Recordings(done.path / "recordings")
    for node, artifact in enumerate(kept):
        norm = artifact.arrays["norm"]
        assert np.isnan(norm).tolist() == [node == 3 and round < 3 for round in range(6)]
        sent = [recordings.load(round, node, "sent/parameters") for round in range(4, 7)]
        np.testing.assert_allclose(norm[3:], [each.double().norm() for each in sent])
    (section,) = TrajectoryRecorder.sections(TrajectoryRecorder.Config(), done.directory)
    peaks = [row[-1] for row in section.tables[0].rows]
    assert peaks[3] == 4 + np.argmax(kept[3].arrays["norm"][3:])
    (line,) = section.charts[-1].series.values()
    assert line[1][0] == pytest.approx(np.mean([each.arrays["norm"][0] for each in kept[:3]]))


def test_settings_that_see_nothing_are_refused():
    for method, where in (
        ({"mode": "eval_pass", "every": 9}, "methods[0].every"),
        ({"validation": True}, "methods[0]"),
    ):
        with pytest.raises(InputError) as caught:
            small("data.validation=0", methods=[{"name": "trajectories", **method}])
        (problem,) = caught.value.problems
        assert problem.where == where


@pytest.fixture(scope="module", params=first(["byproduct", "eval_pass"]))
def noisy(request, tmp_path_factory):
    """The recipe, with duplicates beside its 10 % flipped labels."""
    from simulator import load_experiment

    changes = ["rounds=80", f"methods.0.mode={request.param}", "data.corruption.duplicates=6"]
    changes += ["methods.0.every=4"] if request.param == "eval_pass" else []
    return run(load_experiment("ring-label-noise-digits", changes), tmp_path_factory.mktemp("noisy"))


@pytest.mark.slow
def test_cumulative_loss_finds_flipped_labels(noisy):
    partition = noisy.directory.partition()
    loss = np.concatenate([a.arrays["cumulative_loss"] for a in noisy.directory.artifacts("trajectories")])
    flipped, copied = partition["train_flipped"], partition["train_duplicate_of"] >= 0

    assert np.array_equal(
        np.concatenate([a.arrays["index"] for a in noisy.directory.artifacts("trajectories")]), partition["train_index"]
    )
    assert area(loss[~copied], flipped[~copied], ~flipped[~copied]) > 0.9


def test_the_report_has_a_table_of_nodes_and_one_for_each_corruption(noisy):
    settings = TrajectoryRecorder.Config.model_validate(noisy.directory.experiment["methods"][0])
    (section,) = TrajectoryRecorder.sections(settings, noisy.directory)
    nodes, labels, duplicates = section.tables

    assert [row[:2] for row in nodes.rows] == [(node, 179) for node in range(8)]
    for table in (labels, duplicates):
        assert len(table.rows) == 5
        for _, pooled, mean, worst, best in table.rows:
            assert worst <= mean <= best <= 1
            assert worst <= pooled + 0.1
    pooled = {row[0]: row[1] for row in labels.rows}
    assert pooled["cumulative loss"] > 0.9
    assert f"flipped labels with AUROC {pooled['cumulative loss']:.3f}" in section.verdict
    assert [chart.values.sum() for chart in section.charts[:1]] == [8 * 179]


@pytest.mark.slow
def test_the_page_tells_of_the_corruption(tmp_path):
    done = run(small(NOISE, "data.corruption.duplicates=2", methods=[{"name": "trajectories"}]), tmp_path)
    page = write_run_report(done.directory).read_text()

    assert "8 training samples are copies of others with another label" in page
    assert "AUROC for duplicates with different labels" in page


def test_random_scores_find_nothing():
    rng = np.random.default_rng(0)
    wanted = rng.random(4000) < 0.1

    assert area(rng.random(4000), wanted, ~wanted) == pytest.approx(0.5, abs=0.05)
    assert area(wanted.astype(float), wanted, ~wanted) == 1
    assert np.isnan(area(rng.random(4), np.zeros(4, bool), np.ones(4, bool)))
