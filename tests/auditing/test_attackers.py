"""Audits of a run in which a node lies: it is nobody's victim, and what it sees stands apart."""

import json

import numpy as np
import pytest
from reference.experiments import small

from auditing.membership.audit import MembershipAudit
from auditing.replicas import train
from simulator import run
from simulator.runs.audit import audit
from simulator.runs.report import write_run_report

LIAR, HONEST = 3, [0, 1, 2, 4, 5]
CHANGES = ["topology.nodes=6", "data.held_out=0.5", "data.partition=iid", "data.validation=0", "data.train_samples=240"]
CHANGES += ["rounds=3", "record.every=1", "training.local_steps=20", "checkpoint={every: 1, keep: all}"]


@pytest.fixture(scope="module")
def lying(tmp_path_factory):
    """A ring of six; whatever made use of what node 3 sends would find nothing but NaN."""
    adversaries = [{"nodes": [LIAR], "attack": "non_finite"}]
    return run(small(*CHANGES, adversaries=adversaries), tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def membership(lying):
    settings = MembershipAudit.Config(signals=("loss",), attacks=("threshold", "rmia"), replicas=2, resamples=20)
    folder = audit(lying.path, settings)
    return json.loads((folder / "result.json").read_text()), np.load(folder / "scores.npz")


def test_membership_is_asked_of_honest_nodes_alone(membership):
    result, arrays = membership
    assert sorted(set(arrays["node"].tolist())) == HONEST
    assert result["attackers"] == [LIAR]
    assert all(victims[LIAR] is None for victims in result["victims"].values())
    assert [node for node, gap in enumerate(result["gaps"]) if gap is None] == [LIAR]
    assert {"message", "message, held by attackers"} <= set(result["views"])
    assert "steer what they see" in result["views"]["message, held by attackers"]


def test_the_report_names_who_lied(lying, membership):
    result, _ = membership
    page = write_run_report(lying.directory).read_text()
    assert "In this run node 3 lied." in page
    each = (result["members"] + result["non_members"]) / len(HONEST)
    assert f"rests on the {each:.0f} candidates of one node" in page


def test_the_same_nodes_lie_in_each_replica(lying, membership):
    replicas = train(lying, 2)
    for number in range(replicas.number):
        record = replicas.record(number)
        assert record.attackers == {LIAR}
        sent = [record.message(3, node, record.receivers(3, node)[0]) for node in range(6)]
        assert [bool(record.load(each).isfinite().all()) for each in sent] == [node != LIAR for node in range(6)]
