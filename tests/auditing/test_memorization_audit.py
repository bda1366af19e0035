"""The memorization audit on a small run with wrong labels, from the command line to the report."""

import json
import re
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from reference.experiments import small

from auditing.attacks.curvature import fd
from auditing.attacks.curvature_signals import losses
from auditing.attacks.probed_model import ProbedModel
from auditing.memorization import MemorizationAudit
from auditing.memorization.agreement import agreement
from auditing.memorization.detection import detection
from auditing.memorization.samples import TrainingSamples
from auditing.memorization.score import scores_named
from auditing.metrics import Resamples
from simulator import cli, run
from simulator.core.errors import InputError
from simulator.core.flat_module import FlatModule
from simulator.core.seeding import generator
from simulator.results.audit_folder import AuditFolder
from simulator.results.run_directory import RunDirectory
from simulator.runs.audit import audit
from simulator.runs.run import Run

KIND = "flipped labels"
PLAIN = MemorizationAudit.Config(resamples=40, top=5, shown_nodes=2)


@pytest.fixture(autouse=True)
def _installed(register):
    register("audits", "memorization", MemorizationAudit)


def mislabelled(*changes):
    """A ring of four nodes with 100 digits each, a tenth of them mislabelled."""
    noise = "data.corruption.labels={name: symmetric, rate: 0.1}"
    fixed = [noise, "data.partition=iid", "data.validation=0", "data.public=[]", "training.local_steps=10"]
    return small(*fixed, "rounds=12", "checkpoint={every: 4, keep: all}", "methods=[{name: trajectories}]", *changes)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    return run(mislabelled(), tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def found(noisy):
    """The result, and the arrays beside it."""
    folder = audit(noisy.path, PLAIN)
    with np.load(folder / "scores.npz") as arrays:
        return json.loads((folder / "result.json").read_text()), dict(arrays)


def test_the_cumulative_loss_finds_flipped_labels_at_every_node(noisy, found):
    result, arrays = found
    detected = result["detection"][KIND]
    assert result["scores"][0] == "cumulative loss"
    assert detected["number"] == 40 == noisy.directory.partition()["train_flipped"].sum()
    assert detected["scores"]["cumulative loss"]["pooled"]["low"] > 0.9
    assert min(detected["scores"]["cumulative loss"]["nodes"]) > 0.9
    np.testing.assert_array_equal(arrays["wrong"] == 1, arrays["label"] != arrays["true_label"])


def test_labels_flipped_elsewhere_are_not_found(noisy, found):
    """The mask permuted: AUROC at chance."""
    samples, rng = TrainingSamples.of(noisy.directory.partition()), np.random.default_rng(0)
    wrong = rng.permutation(samples.wrong[KIND])
    resamples = Resamples(2 * samples.node + wrong, 200, rng)
    for name in found[0]["scores"]:
        pooled = detection(found[1][name], wrong, samples.node, resamples).pooled
        assert pooled.low < 0.5 < pooled.high


def test_curvature_is_the_mean_of_the_estimator_over_checkpoints(noisy, found):
    network, node = FlatModule(noisy.blueprint.module().module, "fp64"), noisy.nodes[2]
    model = ProbedModel(network, node.data.preparation, node.data.task)
    positions, rows = torch.arange(len(node.data.train)), []
    images = node.data.preparation(node.data.train.inputs_at(positions), torch.float64)
    for round in (4, 8, 12):
        network.bind(noisy.models(round)[2])
        pieces = [slice(0, 64), slice(64, None)]  # the batches of an evaluation share one stream of directions
        rng = generator(0, "audit.memorization.curvature_fd", node=2, round=round)
        of = [(losses(model, images[p], node.data.train.targets_at(positions[p])), (images[p],)) for p in pieces]
        rows.append(torch.cat([fd(*each, rng) for each in of]))
    own = found[1]["node"] == 2
    np.testing.assert_allclose(found[1]["mean curvature_fd"][own], torch.stack(rows).mean(0).numpy(), rtol=1e-12)
    np.testing.assert_allclose(found[1]["median curvature_fd"][own], torch.stack(rows).median(0).values.numpy())
    assert not torch.equal(noisy.models(4)[2], noisy.models(12)[2])


def test_means_that_few_samples_cannot_make_stand_beside_the_mean(found):
    result, arrays = found
    score = np.sort(arrays["mean curvature_fd"])
    level, cut = result["levels"]["mean curvature_fd"], len(score) // 20
    assert level == {
        "mean": pytest.approx(score.mean()),
        "trimmed mean": pytest.approx(score[cut:-cut].mean()),
        "median": pytest.approx(np.median(score)),
    }


def test_the_checkpoint_of_an_interruption_changes_no_score(noisy, found, tmp_path):
    shutil.copytree(noisy.path, tmp_path / "run")
    run = Run(RunDirectory.open(tmp_path / "run"), "finished")
    run.checkpoints.save(replace(run.checkpoints.load(8), round=9))
    assert run.checkpoints.rounds() == [4, 8, 9, 12]
    (curvature,) = scores_named(["curvature"])
    np.testing.assert_array_equal(curvature.scores(run, PLAIN)["mean curvature_fd"], found[1]["mean curvature_fd"])


def test_the_final_loss_is_that_of_the_last_model(noisy, found):
    nodes, losses = noisy.nodes, []
    for node in nodes:
        network = noisy.blueprint.module()
        network.bind(node.parameters)
        logits = network.outputs(node.data.train, node.data.preparation)
        labels = node.data.train.targets_at(torch.arange(len(node.data.train)))
        losses.append(torch.nn.functional.cross_entropy(logits, labels, reduction="none"))
    np.testing.assert_allclose(found[1]["final loss"], torch.cat(losses).numpy(), rtol=1e-9)


def test_the_most_memorized_come_with_their_images(noisy, found):
    _, arrays = found
    for group in (-1, 0, 1):
        shown = arrays["shown_position"][arrays["shown_group"] == group]
        rows = np.arange(400) if group < 0 else np.flatnonzero(arrays["node"] == group)
        scores = arrays["cumulative loss"]
        np.testing.assert_array_equal(scores[shown], np.sort(scores[rows])[::-1][:5])
        assert set(shown) <= set(rows)
    images = noisy.nodes[0].data.train.inputs.numpy()
    np.testing.assert_array_equal(arrays["shown_images"], images[arrays["index"][arrays["shown_position"]]])


def test_the_same_run_gives_the_same_bytes(noisy):
    twice = [[file.read_bytes() for file in sorted(audit(noisy.path, PLAIN).iterdir())] for _ in range(2)]
    assert len(twice[0]) == 3  # scores, report and metrics
    assert twice[0] == twice[1]


@pytest.mark.slow
def test_duplicates_with_different_labels_are_told_apart_from_flipped_ones(tmp_path):
    done = run(mislabelled("data.corruption.duplicates=8"), tmp_path)
    samples = TrainingSamples.of(done.directory.partition())
    pairs, flipped = samples.wrong["duplicates with different labels"], samples.wrong[KIND]
    assert pairs.sum() == 4 * 2 * 8
    assert not (pairs & flipped).any()
    assert (samples.clean ^ pairs ^ flipped).all()
    settings = MemorizationAudit.Config(attacks=("trajectories",), resamples=40)
    result = json.loads((audit(done.path, settings) / "result.json").read_text())
    assert result["detection"]["duplicates with different labels"]["scores"]["cumulative loss"]["pooled"]["low"] > 0.7
    (section,) = MemorizationAudit.sections(AuditFolder(done.path / "audit" / "memorization"))
    headers = [table.header for table in section.tables]
    assert ("score", f"AUROC, {KIND}", "AUROC, duplicates with different labels") in headers


@pytest.mark.usefixtures("pictures")
@pytest.mark.slow
def test_the_command_adds_a_section_with_images_to_the_report(noisy, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["rumormill", "audit", str(noisy.path), "--audit", "memorization"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    assert capsys.readouterr().out.strip() == str(noisy.path / "audit" / "memorization")
    html = (noisy.path / "report.html").read_text()
    section = html[html.index("<h2>Audit: memorization") :].split("<h2>")[1]
    for shown in ("AUROC, flipped labels", "Spearman", "Cosine", "Finding flipped labels, by node", "clean"):
        assert shown in section
    assert re.search(r">truly \d<", section)
    assert section.count("<figure ") == 2 + 4
    assert section.count('xlink:href="data:image/png') >= 4 * 12
    assert "The cumulative loss finds flipped labels, 10.0% of the training samples" in html[: html.index("<section")]


@pytest.mark.slow
def test_a_run_with_clean_labels_has_scores_and_no_detection(tmp_path):
    done = run(mislabelled("data.corruption.labels=null", "rounds=4", "checkpoint.every=2"), tmp_path)
    result = json.loads((audit(done.path, PLAIN) / "result.json").read_text())
    assert result["detection"] == {}
    (section,) = MemorizationAudit.sections(AuditFolder(done.path / "audit" / "memorization"))
    assert section.verdict == ""
    assert [table.header[0] for table in section.tables] == [
        "score, over samples",
        "Spearman",
        "beside cumulative loss",
    ]
    assert list(section.charts[0].series) == ["all"]
    assert section.charts[-1].title == "Most memorized of node 1: cumulative loss"


@pytest.mark.parametrize(
    ("changes", "where", "advice"),
    [
        (["methods=[]"], "methods", "{name: trajectories}"),
        (["checkpoint.every=null"], "checkpoint", "checkpoint.every=1"),
        pytest.param(["checkpoint={every: 1, keep: 1}"], "checkpoint", "checkpoint.keep=all", marks=pytest.mark.slow),
    ],
)
def test_what_a_run_did_not_record_is_asked_for(tmp_path, changes, where, advice):
    done = run(mislabelled("rounds=2", *changes), tmp_path)
    with pytest.raises(InputError) as refused:
        audit(done.path, PLAIN)
    (problem,) = (each for each in refused.value.problems if each.where == where)
    assert advice in problem.advice
    assert not (done.path / "audit").exists()
    without = MemorizationAudit.Config(attacks=("final_loss",), resamples=10)
    assert (audit(done.path, without) / "result.json").exists()


@pytest.mark.parametrize(
    ("settings", "where"), [({"attacks": ("curvatur",)}, "--attack"), ({"signals": ("curvature",)}, "--signal")]
)
def test_unknown_names_are_refused(noisy, settings, where):
    with pytest.raises(InputError, match=where):
        audit(noisy.path, MemorizationAudit.Config(**settings))


def test_samples_that_were_never_seen_are_left_out(tmp_path):
    done = run(mislabelled("rounds=2", "training.local_steps=2", "checkpoint.every=1"), tmp_path)
    result = json.loads((audit(done.path, PLAIN) / "result.json").read_text())
    assert result["unknown"] == 400 - result["samples"] > 0
    (section,) = MemorizationAudit.sections(AuditFolder(done.path / "audit" / "memorization"))
    assert any("never seen in training" in text for text in section.paragraphs)


def test_agreement_of_a_score_with_its_monotone_image_its_negative_and_noise():
    rng = np.random.default_rng(0)
    score = rng.gamma(2, size=4000)
    scores = {"itself": score, "cubed": score**3, "negative": -score, "noise": rng.gamma(2, size=4000)}
    found = {measure: np.array(rows[0]) for measure, rows in agreement(scores).items()}
    np.testing.assert_allclose(found["spearman"][:3], [1, 1, -1], atol=1e-12)
    assert abs(found["spearman"][3]) < 0.05
    assert found["pearson"][1] < 0.95
    assert found["cosine"][3] > 0.6  # of unrelated scores, since neither is negative


def test_a_constant_score_agrees_with_nothing_known():
    found = agreement({"varied": np.arange(5.0), "constant": np.ones(5)})
    assert np.isnan(found["spearman"][0][1])


@pytest.mark.slow
def test_replicas_agree_with_the_cumulative_loss_where_training_learns_by_heart(tmp_path):
    """A tenth of what is trained on is mislabelled: a network that was not taught a wrong label misses it."""
    done = run(mislabelled("data.held_out=0.5", "training.local_steps=60", "training.trainer=stacked"), tmp_path)
    settings = MemorizationAudit.Config(attacks=("trajectories", "replicas"), replicas=8, resamples=20)
    result = json.loads((audit(done.path, settings) / "result.json").read_text())
    assert result["scores"][-1] == "replica memorization"
    assert result["detection"][KIND]["scores"]["replica memorization"]["pooled"]["value"] > 0.75
    assert result["agreement"]["spearman"][0][-1] > 0.3


def test_without_replicas_there_is_no_such_score(found):
    assert "replica memorization" not in found[0]["scores"]


@pytest.fixture
def published(noisy, tmp_path):
    """As if somebody had measured digits: a score for each row of the data set's training samples, and its class."""
    samples, rows = TrainingSamples.of(noisy.directory.partition()), 1500
    scores, labels = np.linspace(0, 1, rows), np.zeros(rows, np.int64)
    labels[samples.index] = samples.true_label

    def save(**changes):
        np.savez(tmp_path / "mem.npz", **{"tr_mem": scores, "tr_labels": labels, **changes})
        return MemorizationAudit.Config(
            attacks=("final_loss", "published"), published={"file": tmp_path / "mem.npz"}, resamples=5
        )

    return save


def test_what_others_have_measured_stands_beside_the_runs_own(noisy, published):
    folder = AuditFolder(audit(noisy.path, published()))
    arrays = folder.arrays()
    assert folder.result()["scores"] == ["final loss", "published"]
    np.testing.assert_array_equal(arrays["published"], np.linspace(0, 1, 1500)[arrays["index"]])


def test_scores_of_copies_are_not_known(noisy, published):
    few = int(np.median(TrainingSamples.of(noisy.directory.partition()).index))
    labels = published().published.file
    with np.load(labels) as arrays:
        settings = published(tr_mem=arrays["tr_mem"][:few], tr_labels=arrays["tr_labels"][:few])
    result = AuditFolder(audit(noisy.path, settings)).result()
    assert 0 < result["samples"] < 400 == result["samples"] + result["unknown"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"tr_labels": np.arange(1500) % 10},
            r"published: of the run's 400 training samples, 3\d\d have another class",
        ),
        ({"tr_labels": np.zeros(1499, int)}, "has 1,500 scores and 1,499 labels"),
        ({"tr_mem": np.full(1500, np.nan)}, "tr_mem is not finite of 1,500 samples"),
        ({"tr_mem": np.zeros((1500, 2))}, "tr_mem is not one number a sample"),
        ({"tr_mem": np.zeros(0), "tr_labels": np.zeros(0)}, "of the run's 400 training samples, none is in"),
    ],
)
def test_scores_of_other_samples_are_refused(noisy, published, changes, message):
    with pytest.raises(InputError, match=message):
        audit(noisy.path, published(**changes))


def test_a_file_without_such_an_array_is_told_what_it_has(noisy, published, tmp_path):
    settings = published()
    np.savez(tmp_path / "mem.npz", memorization=np.zeros(3), labels=np.zeros(3))
    with pytest.raises(InputError, match="has no array tr_mem; it has memorization, labels"):
        audit(noisy.path, settings)
    (tmp_path / "mem.npz").unlink()
    with pytest.raises(InputError, match="there is no file"):
        audit(noisy.path, settings)
