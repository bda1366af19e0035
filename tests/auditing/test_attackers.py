"""Audits of a run in which a node lies: it is nobody's victim, and what it sees stands apart."""

import json

import numpy as np
import pytest
from reference.experiments import small
from reference.multi_exit import PKD, clips

from auditing.class_shares.audit import ClassSharesAudit
from auditing.early_exit.audit import EarlyExitAudit
from auditing.membership.audit import MembershipAudit
from auditing.memorization import MemorizationAudit
from auditing.network_privacy.audit import NetworkPrivacyAudit
from auditing.privacy.audit import EmpiricalPrivacyAudit
from auditing.reconstruction.audit import ReconstructionAudit
from auditing.replicas import train
from auditing.robustness import RobustnessAudit
from auditing.robustness.audit import models_of
from auditing.robustness.neighbourhood import Neighbourhood
from simulator import run
from simulator.core.errors import InputError
from simulator.results.audit_folder import AuditFolder
from simulator.runs.audit import audit, audit_plan
from simulator.runs.report import write_run_report

LIAR, HONEST = 3, [0, 1, 2, 4, 5]
CHANGES = ["topology.nodes=6", "data.held_out=0.4", "data.partition=iid", "data.train_samples=400", "data.canaries=8"]
CHANGES += ["rounds=3", "record.every=1", "training.local_steps=5", "checkpoint={every: 1, keep: all}"]
PARTS = {
    "adversaries": [{"nodes": [LIAR], "attack": "non_finite"}],
    "mixer": {"name": "clipped_gossip", "tau": 1.0},
    "methods": [{"name": "dp_sgd", "noise_multiplier": 1.0, "clip": 1.0, "delta": 1e-5}],
}


@pytest.fixture(scope="module")
def lying(tmp_path_factory):
    """A ring of six; whatever made use of what node 3 sends would find nothing but NaN."""
    return run(small(*CHANGES, **PARTS), tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def membership(lying):
    settings = MembershipAudit.Config(signals=("loss",), attacks=("threshold", "rmia"), replicas=2, resamples=20)
    return AuditFolder(audit(lying.path, settings))


@pytest.mark.slow
def test_membership_is_asked_of_honest_nodes_alone(membership):
    result = membership.result()
    assert sorted(set(membership.arrays()["node"].tolist())) == HONEST
    assert result["lying"] == [LIAR]
    assert all(victims[LIAR] is None for victims in result["victims"].values())
    assert [node for node, gap in enumerate(result["gaps"]) if gap is None] == [LIAR]
    assert {"message", "message, held by attackers"} <= set(result["views"])
    assert "steer what they see" in result["views"]["message, held by attackers"]


@pytest.mark.slow
def test_the_report_names_who_lied(lying, membership):
    result = membership.result()
    page = write_run_report(lying.directory).read_text()
    assert "Attackers: node 3." in page
    each = (result["members"] + result["non_members"]) / len(HONEST)
    assert f"rests on the {each:.0f} candidates of one node" in page


def test_the_same_nodes_lie_in_each_replica(lying, membership):
    replicas = train(lying, 2)
    for number in range(replicas.number):
        record = replicas.record(number)
        assert record.attackers == {LIAR}
        sent = [record.message(3, node, record.receivers(3, node)[0]) for node in range(6)]
        assert [bool(record.load(each).isfinite().all()) for each in sent] == [node != LIAR for node in range(6)]


def test_class_shares_are_those_of_honest_nodes(lying):
    folder = AuditFolder(audit(lying.path, ClassSharesAudit.Config()))
    result = folder.result()
    assert result["lying"] == [LIAR]
    assert len(result["truth"]) == len(result["attackers"]["model"]["all"]["tv"]) == len(HONEST)
    (section,) = ClassSharesAudit.sections(folder)
    assert list(section.charts[1].categories) == list(map(str, HONEST))


@pytest.mark.parametrize("attacks", [("final_loss", "curvature"), ("replicas",)])
def test_memorization_is_that_of_honest_nodes(lying, membership, attacks):
    settings = MemorizationAudit.Config(attacks=attacks, signals=("loss",), replicas=2 * (attacks == ("replicas",)))
    folder = AuditFolder(audit(lying.path, settings))
    partition = lying.directory.partition()
    assert sorted(set(folder.arrays()["node"].tolist())) == HONEST
    asked = folder.result()["samples"] + folder.result()["unknown"]
    assert asked == np.isin(partition["train_node"], HONEST).sum()


@pytest.mark.slow
def test_promises_of_honest_nodes_are_put_beside_their_own_canaries(lying, membership):
    folder = AuditFolder(audit(lying.path, EmpiricalPrivacyAudit.Config()))
    result = folder.result()
    assert result["lying"] == [LIAR]
    assert result["canaries"] == np.isin(lying.directory.partition()["canary_node"], HONEST).sum()
    assert len(result["promises"]) == len(result["accuracy"]) == len(result["membership_auc"]) == len(HONEST)
    spent = {m.node: m.value for m in lying.directory.metrics() if m.name == "privacy/epsilon"}  # the last
    assert [each["epsilon"] for each in result["promises"]] == pytest.approx([spent[node] for node in HONEST])
    assert any("held by attackers" in name for name in result["attacks"])
    (section,) = EmpiricalPrivacyAudit.sections(folder)
    assert [row[0] for row in section.tables[0].rows] == [*(f"node {node}" for node in HONEST), "all nodes"]


def test_accounts_of_sums_are_refused_where_mixing_goes_by_models(lying):
    with pytest.raises(InputError) as refused:
        audit(lying.path, NetworkPrivacyAudit.Config())
    found = {problem.where: problem for problem in refused.value.problems}
    assert list(found) == ["mixer", "adversaries"]
    assert "clipped_gossip weighs what a node hears by what the models are" in found["mixer"].what
    assert "attackers choose what they send by what they hear" in found["adversaries"].what
    assert all("each node's own account" in problem.what and problem.advice for problem in found.values())
    with pytest.raises(InputError, match="a rule or an attacker goes by what the models are"):
        audit(lying.path, ReconstructionAudit.Config(messages="sums"))


def test_updates_of_honest_nodes_are_computed_by_those_who_hear_them_first(lying):
    folder = AuditFolder(audit(lying.path, ReconstructionAudit.Config()))
    result = folder.result()
    solved = [[0 if value is None else value for value in row] for row in result["plan"]["solved"]]
    ring = [[int(abs(a - b) in (1, 5) and b != LIAR) for b in range(6)] for a in range(6)]
    assert (result["lying"], solved) == ([LIAR], ring)
    assert set(result["attacked"]["victims"]) == set(HONEST)
    (section,) = ReconstructionAudit.sections(folder)
    assert "10 can be computed exactly for sure, whatever rule mixes" in section.verdict
    assert any("Attackers: node 3." in each for each in section.paragraphs)


def test_no_attacker_asks_others_or_is_asked(lying):
    with pytest.raises(InputError, match="node 3 lied in this run"):
        audit(lying.path, RobustnessAudit.Config(hosts=(LIAR,), size=2, hops=1))
    place = Neighbourhood.of(2, lying.directory.topology, 1, models_of(lying), lying.directory.attackers)
    assert list(place.candidates) == [1, 2]
    assert list(place.insiders) == [1, LIAR]
    assert LIAR not in place.unquantized


@pytest.mark.slow
def test_exits_are_weighed_at_honest_nodes(tmp_path):
    adversaries = [{"nodes": [0], "attack": "sign_flip"}]
    done = run(clips(methods=[PKD], adversaries=adversaries), tmp_path)
    result = json.loads((audit(done.path, EarlyExitAudit.Config()) / "result.json").read_text())
    nodes = done.directory.topology.num_nodes - 1
    assert (result["nodes"], len(result["validation"]), result["lying"]) == (nodes, nodes, [0])


def test_a_plan_names_who_would_lie(tmp_path):
    planned = small(*CHANGES, **PARTS | {"methods": []})
    folder = AuditFolder(audit_plan(planned, ReconstructionAudit.Config(), tmp_path / "plan"))
    assert folder.result()["lying"] == [LIAR]
    assert "Attackers: node 3." in (folder.path / "report.html").read_text()
