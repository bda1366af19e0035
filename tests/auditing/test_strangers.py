"""Views, signals, attacks and scores of another package: named or not, they come by the same door as ours."""

import sys

import numpy as np
import pytest
import torch
from reference.experiments import small

from auditing.attacks.attack import Attack
from auditing.attacks.signal import Signal
from auditing.membership.audit import MembershipAudit
from auditing.memorization import MemorizationAudit
from auditing.memorization.score import MemorizationScore
from auditing.views.position import Position, VictimPair
from auditing.views.record import Stored
from auditing.views.view import View
from simulator import cli, run
from simulator.core.errors import InputError, RunError
from simulator.results.audit_folder import AuditFolder
from simulator.runs.audit import audit


class Successor(View):
    """The next node, with its own final model."""

    def positions(self, scene):
        pairs = (VictimPair(v, u, scene.held(Stored("final", u))) for v in range(4) if (u := (v + 1) % 4) >= 0)
        yield Position("successor", "the node with the next number", tuple(pairs))


class Blind(View):
    """Somebody who sees nothing."""

    def positions(self, scene):
        raise self.unseen("there are no windows.", "Build one.")


class Confidence(Signal):
    """The largest probability, whatever the label."""

    members = "high"

    @torch.no_grad()
    def on_batch(self, model, inputs, targets, rng):
        return model.outputs(inputs).softmax(1).amax(1)


class Reverse(Attack):
    """The opposite of a threshold."""

    def judge(self, evidence):
        return -evidence.signal


class Coin(MemorizationScore):
    """A score of nothing."""

    def scores(self, run, settings):
        return {"coin": np.random.default_rng(0).random(sum(len(node.data.train) for node in run.nodes))}


BROUGHT = {
    ("views", "successor"): Successor,
    ("views", "blind"): Blind,
    ("signals", "confidence"): Confidence,
    ("attacks", "reverse"): Reverse,
    ("memorization_scores", "coin"): Coin,
}


@pytest.fixture(autouse=True)
def _brought(register):
    for (kind, name), part in BROUGHT.items():
        register(kind, name, part)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    changes = ("rounds=1", "data.held_out=0.5", "data.partition=iid", "data.validation=0", "data.public=[]")
    return run(small(*changes), tmp_path_factory.mktemp("runs"))


def audited(done, **settings):
    return AuditFolder(audit(done.path, MembershipAudit.Config(samples=8, resamples=5, **settings))).result()


def test_they_are_seen_in_an_audits_result(done):
    result = audited(done, signals=("loss", "confidence"))
    assert [*result["attacks"]] == [
        f"{signal}, {attack}"
        for signal in ("loss", "confidence")
        for attack in ("threshold", "class_threshold", "reverse")
    ]
    assert [*result["views"]][-2:] == ["consensus", "successor"]  # after all of ours
    assert result["views"]["successor"] == "the node with the next number"
    assert "blind: there are no windows." in result["unseen"]
    auc = {by: result["attacks"][f"confidence, {by}"]["successor"]["auc"]["value"] for by in ("threshold", "reverse")}
    assert auc["threshold"] + auc["reverse"] == pytest.approx(1)
    assert auc["threshold"] != 0.5


def test_they_can_be_asked_for_by_name(done):
    result = audited(done, signals=("confidence",), attacks=("reverse",), views=("successor",))
    assert ([*result["attacks"]], [*result["views"]]) == (["confidence, reverse"], ["successor"])
    with pytest.raises(InputError, match=r"--view blind: there are no windows\.\s+Build one"):
        audited(done, views=("successor", "blind"))
    scored = AuditFolder(audit(done.path, MemorizationAudit.Config(attacks=("coin", "final_loss"), resamples=5)))
    assert scored.result()["scores"] == ["final loss", "coin"]


def test_what_goes_wrong_in_them_is_theirs(done, monkeypatch):
    monkeypatch.setattr(Confidence, "on_batch", lambda self, model, inputs, targets, rng: inputs.nonsense)
    with pytest.raises(RunError, match=r"signal confidence \(.*:Confidence\) failed"):
        audited(done, signals=("confidence",))


@pytest.mark.parametrize(
    ("kind", "name", "text"),
    [
        ("views", "successor", "The next node, with its own final model."),
        ("signals", "confidence", "The largest probability, whatever the label."),
        ("attacks", "reverse", "The opposite of a threshold."),
    ],
)
def test_they_are_listed(kind, name, text, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["rumormill", "list", kind])
    with pytest.raises(SystemExit):
        cli.main()
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.split()[:1] == [name])
    assert text in line
