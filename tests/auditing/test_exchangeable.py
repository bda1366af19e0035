"""Members and non-members differ in nothing but membership: whoever saw none of them cannot tell them apart."""

import json
import re

import numpy as np
import pytest
from reference.experiments import small

from auditing.attacks.signal import signals_named
from auditing.candidates import Candidates, labels_of, planted_in
from auditing.membership.audit import MembershipAudit
from auditing.membership.self_check import self_check, told
from auditing.metrics import Ranking, Resamples
from auditing.replicas import train
from simulator import run
from simulator.core.errors import InputError
from simulator.results.run_directory import RunDirectory
from simulator.runs.audit import audit
from simulator.runs.build import Simulation
from simulator.runs.report import write_run_report
from simulator.runs.run import Run

HELD_OUT = ("data.held_out=0.5", "data.validation=0", "data.public=[]", "data.partition=iid", "rounds=1")
PLAIN = MembershipAudit.Config(signals=("loss",), attacks=("threshold",), views=("final_model",), resamples=100)


@pytest.fixture(autouse=True)
def _installed(register):
    register("audits", "membership", MembershipAudit)


def corrupted(tmp_path, *changes):
    """Four nodes with 300 digits each."""
    return run(small(*HELD_OUT, "data.train_samples=1200", *changes), tmp_path)


def mislabelled(done, asked):
    """By candidate, 1 where its label is not the true one: what the best of all outsiders goes by."""
    partition = done.directory.partition()
    true = np.zeros(2_000, np.int64)
    for split in ("train", "held_out"):
        true[partition[f"{split}_index"]] = partition[f"{split}_true_label"]
    return (labels_of(asked.samples) != true[asked.samples.index.numpy()]).astype(float)


@pytest.mark.slow
def test_duplicates_which_are_planted_among_members_only_are_no_candidates(tmp_path):
    done = corrupted(tmp_path, "data.corruption.duplicates=40")
    everyone = Candidates.of(done.nodes, 1000)
    asked = Candidates.of(done.nodes, 1000, planted_in(done.directory.partition()))
    assert Ranking(-mislabelled(done, everyone), everyone.member).roc().auc < 0.45  # as it would be
    assert not mislabelled(done, asked).any()
    originals = done.directory.partition()["train_duplicate_of"]
    assert not np.isin(asked.samples.index, originals[originals >= 0]).any()
    with np.load(audit(done.path, PLAIN) / "scores.npz") as scores:
        assert set(scores["index"]) == set(asked.samples.index.tolist())


@pytest.mark.slow
def test_members_and_non_members_have_as_many_wrong_labels_however_few_they_are(tmp_path):
    """Of 15 members 10 % are 2, of 5 others none: rounded each by itself, the split would show."""
    shares = {"train": [], "held_out": []}
    for seed in range(40):
        changes = ["data.held_out=0.25", "data.train_samples=80", f"seed={seed}"]
        noise = "data.corruption.labels={name: symmetric, rate: 0.1}"
        data = Simulation.of(small(*HELD_OUT, *changes, noise)).data
        data.save_partition(tmp_path / "partition.npz")
        with np.load(tmp_path / "partition.npz") as partition:
            for split, found in shares.items():
                found.append(partition[f"{split}_flipped"].mean())
    assert np.mean(shares["train"]) == pytest.approx(2 / 15)
    assert np.mean(shares["held_out"]) == pytest.approx(2 / 15, abs=0.03)


def test_each_node_has_as_many_members_as_non_members_among_the_candidates(tmp_path):
    done = corrupted(tmp_path, "data.held_out=0.2", "data.partition={name: shards, shards_per_node: 2}")
    asked = Candidates.of(done.nodes, 100)
    for node in range(4):
        assert asked.member[asked.node == node].mean() == 0.5


def test_a_run_on_a_coreset_of_its_members_is_refused_and_told_so_at_its_start(tmp_path):
    scored = run(
        small("rounds=4", "data.public=[]", "data.held_out=0.3", methods=[{"name": "ltc"}]), tmp_path / "scores"
    )
    subset = f"data.subset={{run: {scored.path}, score: random, share: 0.5}}"
    settings = small("rounds=1", "data.public=[]", "data.held_out=0.3", subset)
    assert any("audits of membership will refuse" in note for note in Simulation.of(settings).data.notes)
    done = run(settings, tmp_path)
    with pytest.raises(InputError, match=r"data\.subset: members are a coreset"):
        audit(done.path, PLAIN)
    with pytest.raises(InputError, match=r"data\.subset: members are a coreset"):
        train(done, 2)
    assert not (done.path / "audit").exists()


@pytest.mark.slow
def test_every_audit_checks_that_a_network_that_saw_nothing_finds_nothing(tmp_path, capsys):
    done = corrupted(tmp_path)
    result = json.loads((audit(done.path, PLAIN) / "result.json").read_text())
    check = result["check"]["loss"]
    assert check["low"] <= 0.5 <= check["high"]
    assert check["passed"]
    err = capsys.readouterr().err
    assert "where .5 is right" in err
    assert re.search(r"check: a network learns from 60 test samples alone\n\d+/30 steps  time left", err)
    assert "1/1 signals  time left" in err
    assert (
        "Check: a network trained on test samples alone" in write_run_report(RunDirectory.open(done.path)).read_text()
    )


def test_the_check_fails_where_members_differ_by_themselves(tmp_path):
    """Broken on purpose: duplicates among the candidates; then one class among members only."""
    done = Run(corrupted(tmp_path, "data.corruption.duplicates=60").directory, "finished")
    asked = Candidates.of(done.nodes, 1000)
    found = self_check(
        signals_named(["loss"]), done, asked, Resamples(asked.questions.strata, 100, np.random.default_rng(0))
    )
    assert found["loss"]["high"] < 0.45
    assert "members seem to differ from non-members by themselves" in told(found)


@pytest.mark.slow
def test_samples_that_a_method_took_out_of_training_are_counted(tmp_path):
    method = {"name": "ltc", "use": "coreset", "after": 4, "share": 0.5, "score": "random"}
    done = run(small(*HELD_OUT, "rounds=6", "data.validation=0.1", methods=[method]), tmp_path)
    held = sum(len(node.data.train) for node in done.nodes)
    kept = sum(len(node.training_set.private_positions) for node in done.nodes)
    assert kept < 0.6 * held
    folder = audit(done.path, PLAIN)
    assert json.loads((folder / "result.json").read_text())["left"] == held - kept
    assert f"{held - kept} training samples were taken out of training" in write_run_report(done.directory).read_text()
