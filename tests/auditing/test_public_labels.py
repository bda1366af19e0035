"""Whoever hears the labels that nodes send of public samples, and nothing else: students that learn from these."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from reference.experiments import small

from auditing.membership.audit import MembershipAudit
from auditing.membership.students import students_of, taught
from auditing.public_labels import PublicLabels
from auditing.replicas import train
from auditing.views.observe import observe
from auditing.views.record import RunRecord, Stored
from simulator import run
from simulator.core.errors import InputError
from simulator.core.soft_labels import SoftLabels
from simulator.results.recordings import Recordings
from simulator.runs.audit import audit
from simulator.runs.report import write_run_report

HELD_OUT = ("data.held_out=0.4", "data.train_samples=300")
IDKD = {"name": "idkd", "first_round": 2, "every": 2, "threshold": 0.15}
QUICK = MembershipAudit.Config(signals=("loss",), resamples=20, views=("message", "labels", "all_labels"))


def with_(**changes):
    return QUICK.model_copy(update=changes)


@pytest.fixture(autouse=True)
def _installed(register):
    register("audits", "membership", MembershipAudit)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Exchanges in rounds 2, 4 and 6, of which the last two are recorded."""
    return run(small(*HELD_OUT, methods=[IDKD], record={"rounds": [4, 6]}), tmp_path_factory.mktemp("runs"))


def observed(done, *views):
    return observe(RunRecord.of(done), done.directory.topology, views)[0]


def test_labels_are_read_as_they_were_sent_and_their_rounds_are_known(labelled):
    record, recordings = RunRecord.of(labelled), Recordings(labelled.path / "recordings")
    assert record.rounds_of_labels == (2, 4, 6)
    told, sent = record.labels(4, 2), recordings.parts(4, 2, 1)
    assert told.positions.tolist() == sent["idkd.positions"].tolist()
    np.testing.assert_allclose(told.labels, sent["idkd.labels"].double())


def test_a_student_learns_the_labels_and_nothing_else(labelled):
    """It says of public samples what its node said, more nearly than it did before, and than what another node said."""
    found = students_of(observed(labelled, "labels"), labelled)
    assert sorted(found) == [Stored("student", node, round) for node in range(4) for round in (4, 6)]
    record, node, network = RunRecord.of(labelled), labelled.nodes[0], labelled.blueprint.module()

    def distance(parameters, labels):
        network.bind(parameters.to(network.dtype))
        outputs = network.outputs(node.data.public.subset(labels.positions), node.data.preparation)
        return (outputs.softmax(1) - labels.labels).abs().sum(1).mean().item()

    for each in (0, 3):
        own, other = record.labels(6, each), record.labels(6, 1)
        student = found[Stored("student", each, 6)].parameters
        assert distance(student, own) < 0.5 * distance(network.initial, own)
        assert distance(student, own) < distance(student, other)
    again = students_of(observed(labelled, "labels"), labelled)
    assert all(torch.equal(again[each].parameters, found[each].parameters) for each in found)


def test_who_was_told_nothing_has_learnt_nothing(labelled):
    network, node = labelled.blueprint.module(), labelled.nodes[0]
    nothing = SoftLabels(torch.empty(0, dtype=torch.int64), torch.empty(0, 10))
    for labels in (None, nothing):
        assert torch.equal(taught(network, node, labels), network.initial)


@pytest.mark.slow
def test_readers_of_labels_stand_beside_those_of_messages_and_are_compared_with_students_of_replicas(labelled):
    settings = with_(replicas=2, attacks=("threshold", "lira_online"))
    folder = audit(labelled.path, settings)
    result = json.loads((folder / "result.json").read_text())
    assert list(result["views"]) == ["message", "labels", "all labels"]
    assert set(result["by_round"]) == {"message", "labels"}
    for attack in ("loss, threshold", "loss, lira_online"):
        aucs = [found["auc"]["value"] for found in result["attacks"][attack].values()]
        assert all(0 < auc < 1 for auc in aucs)
    replicas = train(labelled, 2)
    theirs = replace(observed(labelled, *settings.views), record=replicas.record(1))
    row = next(row for row, model in enumerate(theirs.models) if model[0][0] == Stored("student", 3, 6))
    parts = Recordings(replicas.path / "recordings").parts(6, 4 + 3, 4)  # its nodes come after those of the first
    said = PublicLabels(Recordings(labelled.path / "recordings"), labelled.nodes[0])
    assert theirs.record.labels(6, 3).positions.tolist() == parts["idkd.positions"].tolist()
    assert not torch.equal(theirs.record.labels(6, 3).labels.sum(0), said.told(6, 3).labels.sum(0))
    students = students_of(theirs, labelled)
    asked, network = np.load(folder / "references" / "loss-candidates.npy")[1, row], labelled.blueprint.module()
    network.bind(students[Stored("student", 3, 6)].parameters.to(network.dtype))
    with np.load(folder / "scores.npz") as scores:
        own = scores["node"] == 3
        samples = replace(labelled.nodes[0].data.train, index=torch.from_numpy(scores["index"][own]))
    logits = network.outputs(samples, labelled.nodes[0].data.preparation)
    targets = samples.targets_at(torch.arange(len(samples)))
    loss = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    np.testing.assert_allclose(asked[own], -loss.numpy(), atol=1e-6)
    assert np.isnan(asked[~own]).all()
    assert "only the node" in write_run_report(labelled.directory).read_text()


def test_labels_are_not_reported_alone(labelled):
    with pytest.raises(InputError, match=r"labels and all_labels would stand alone[\s\S]*--view message"):
        audit(labelled.path, with_(views=("labels", "all_labels")))


@pytest.mark.parametrize(
    ("methods", "rounds", "what"),
    [
        ([], [2, 4], "nodes of this run send no labels of public samples"),
        pytest.param(
            [{**IDKD, "threshold": 1.1}],
            [2, 4, 6],
            "no node labelled a public sample in rounds 2, 4, 6",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            [IDKD],
            [3, 5],
            r"labels of public samples are sent in rounds 2, 4, 6, and no recorded [\s\S]* in record.rounds",
            marks=pytest.mark.slow,
        ),
    ],
    ids=["no method", "no sample", "not recorded"],
)
def test_a_run_without_labels_is_refused_by_name(tmp_path, methods, rounds, what):
    done = run(small(*HELD_OUT, methods=methods, record={"rounds": rounds}), tmp_path)
    with pytest.raises(InputError, match=f"--view labels: {what}"):
        audit(done.path, with_(views=("message", "labels")))
    unseen = " ".join(json.loads((audit(done.path, with_(views=())) / "result.json").read_text())["unseen"])
    assert "labels, all_labels: " in unseen
