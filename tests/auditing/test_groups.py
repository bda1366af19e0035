"""Samples that belong together, such as those of one patient: membership is asked of the group."""

import numpy as np
import pytest
from reference.experiments import small

from auditing.candidates import Candidates, groups_in
from auditing.membership.audit import MembershipAudit
from auditing.questions import Questions
from simulator import run
from simulator.core.errors import InputError
from simulator.results.audit_folder import AuditFolder
from simulator.runs.audit import audit
from simulator.runs.report import write_run_report

CHANGES = ("data.held_out=0.5", "data.partition=iid", "rounds=1", "data.validation=0", "data.public=[]")
QUICK = MembershipAudit.Config(signals=("loss",), attacks=("threshold",), views=("final_model",), resamples=20)


def test_the_score_of_a_group_is_the_mean_of_its_samples_scores():
    node, member = np.array([0, 0, 0, 1, 1]), np.array([True, True, False, False, False])
    asked = Questions.about(node, member, np.array([7, 7, 4, 7, 7]))
    assert [*zip(asked.node, asked.member, strict=True)] == [(0, False), (0, True), (1, False)]
    assert asked.scores(np.array([1.0, 2.0, 5.0, np.nan, 4.0])).tolist()[:2] == [5.0, 1.5]
    assert np.isnan(asked.scores(np.array([1.0, 2.0, 5.0, np.nan, 4.0]))[2])
    alone = Questions.about(node, member, None)
    assert alone.scores(node).tolist() == node.tolist()


@pytest.fixture
def done(tmp_path):
    """A run whose data say that samples come in groups of two to four of a node's, on one side each."""
    finished, rng = run(small(*CHANGES), tmp_path), np.random.default_rng(0)
    partition = dict(finished.directory.partition())
    first = 0
    for split in ("train", "held_out"):
        node = partition[f"{split}_node"]
        partition[f"{split}_group"] = np.empty(len(node), np.int64)
        for each in range(4):
            rows = rng.permutation(np.flatnonzero(node == each))
            for size in rng.integers(2, 5, len(rows)):
                partition[f"{split}_group"][rows[:size]], rows, first = first, rows[size:], first + 1
    np.savez(finished.path / "partition.npz", **partition)
    return finished


def test_candidates_are_whole_groups_as_many_of_members_as_of_others(done):
    partition = done.directory.partition()
    groups = groups_in(partition)
    asked = Candidates.of(done.nodes, 12, groups=groups)
    for node in range(4):
        found = {member: asked.group[(asked.node == node) & (asked.member == member)] for member in (True, False)}
        assert len(np.unique(found[True])) == len(np.unique(found[False])) >= 3
        assert all(len(of_kind) <= 12 for of_kind in found.values())
        for split, of_kind in zip(("train", "held_out"), found.values(), strict=True):
            whole = np.isin(partition[f"{split}_group"], of_kind)
            assert whole.sum() == len(of_kind)
    groups[partition["held_out_index"][0]] = groups[partition["train_index"][0]]
    with pytest.raises(InputError, match="1 groups of node 0 are among members and among non-members"):
        Candidates.of(done.nodes, 12, groups=groups)


def test_an_audit_ranks_groups_and_says_so(done):
    folder = AuditFolder(audit(done.path, QUICK))
    result, scores = folder.result(), folder.arrays()
    group = groups_in(done.directory.partition())[scores["index"]]
    asked = Questions.about(scores["node"], scores["member"], group)
    assert (result["members"], result["non_members"]) == (asked.member.sum(), (~asked.member).sum())
    assert result["candidates"] == len(group) > 2 * len(asked.node)
    means = [scores["loss"][:, group == each].mean(1) for each in np.unique(group)]
    own = [(means[k][node], member) for k, each in enumerate(np.unique(group)) for node, member in
           {(scores["node"][group == each][0], scores["member"][group == each][0])}]  # fmt: skip
    pairs = [(a > b) + (a == b) / 2 for a, of_a in own if of_a for b, of_b in own if not of_b]
    (found,) = result["attacks"]["loss, threshold"].values()
    assert found["auc"]["value"] == pytest.approx(np.mean(pairs))
    assert "membership is asked of groups" in write_run_report(done.directory).read_text()


def test_of_each_group_as_many_samples_are_asked_about_as_was_said(done):
    groups = groups_in(done.directory.partition())
    whole, part = (Candidates.of(done.nodes, 1000, groups=groups, of_group=most) for most in (None, 2))
    assert len(part.questions) == len(whole.questions)
    assert np.isin(part.samples.index, whole.samples.index).all()
    sizes = np.bincount(part.questions.of_candidate)
    assert sizes.tolist() == np.bincount(whole.questions.of_candidate).clip(max=2).tolist()
    assert len(Candidates.of(done.nodes, 12, groups=groups, of_group=1).questions) == 4 * 2 * 12
    again = Candidates.of(done.nodes, 1000, groups=groups, of_group=2)
    assert part.samples.index.tolist() == again.samples.index.tolist()


@pytest.mark.slow
def test_an_audit_of_single_groups_says_that_its_intervals_are_too_narrow(done, capsys):
    audit(done.path, QUICK.model_copy(update={"samples": 1, "samples_of_group": 1}))
    assert "Of each of the nodes 0, 1, 2, 3, a single member or a single non-member" in capsys.readouterr().err
    assert "intervals are too narrow" in write_run_report(done.directory).read_text()
    audit(done.path, QUICK)
    assert "intervals are too narrow" not in write_run_report(done.directory).read_text()


def test_samples_of_groups_are_refused_where_there_are_no_groups(tmp_path):
    done = run(small(*CHANGES), tmp_path)
    with pytest.raises(InputError, match="samples_of_group: the samples of this run come in no groups"):
        audit(done.path, QUICK.model_copy(update={"samples_of_group": 2}))
    with pytest.raises(InputError, match="--attack: the samples of this run come in no groups"):
        audit(done.path, QUICK.model_copy(update={"attacks": ("group_offline",), "replicas": 4}))
