"""Attackers who judge a sample round by round, and add up how sure they are."""

import json

import numpy as np
import pytest
import torch
from reference.experiments import small
from scipy.stats import norm

from auditing.attacks.attack import attacks_named
from auditing.candidates import Candidates
from auditing.membership.audit import MembershipAudit
from auditing.membership.findings import Judged, SignalAttack
from auditing.membership.measurement import MeasuredSignals
from auditing.membership.references import ReferenceSignals
from auditing.metrics import Ranking
from auditing.views.position import Position, SignalSum, Trajectory, VictimPair
from simulator import run
from simulator.core.samples import Samples
from simulator.runs.audit import audit

ROUNDS = [SignalSum(((row, 1.0),)) for row in range(4)]
WHOLE, MEAN = Trajectory(tuple(ROUNDS)), SignalSum.mean([each.terms for each in ROUNDS])


def judged(sd, samples=3_000, references=128, gap=0.6):
    """Signals that training raises by ``gap``, in rounds that err independently by ``sd``, float64 [4, 1]."""
    rng = np.random.default_rng(0)
    member, member_of = np.arange(samples) % 2 == 0, rng.random((references, samples)) < 0.5
    hardness = rng.normal(0, 2, samples)

    def signal(inside):
        shape = (*inside.shape[:-1], 4, samples)
        return hardness + gap * inside[..., None, :] + sd * rng.normal(size=shape)

    everyone = Samples(torch.zeros(samples, 1), torch.zeros(samples, dtype=torch.int64), torch.arange(samples))
    asked = Candidates(everyone, np.zeros(samples, np.int64), member)
    measured = MeasuredSignals({"loss": signal(member)}, {"loss": np.zeros((4, 1))})
    theirs = ReferenceSignals(member_of, signal(member_of), np.zeros((references, 4, 1)))
    attacks, labels = attacks_named(["lira_online_global", "threshold"]), {"loss": np.zeros(1, np.int64)}
    return Judged(asked, np.zeros(samples, np.int64), None, measured, labels, attacks, {"loss": theirs})


def scores(found, attack, *observations):
    pairs = tuple(VictimPair(0, None, each) for each in observations)
    return found.scores(SignalAttack("loss", attack), [Position("all", "somebody", pairs)])


def test_ratios_of_likelihoods_add_up_over_rounds():
    found = scores(judged(np.ones((4, 1))), "lira_online_global", WHOLE, *ROUNDS)
    np.testing.assert_allclose(found[WHOLE], sum(found[each] for each in ROUNDS))


def test_rounds_that_tell_more_weigh_more_than_in_the_mean_over_rounds():
    """d' of all rounds together is the root of the sum of their squares, where ratios of likelihoods are added."""
    sd = np.array([[0.5], [1.0], [2.0], [4.0]])
    found = judged(sd)
    auc = {each: Ranking(score, found.candidates.member).roc().auc
           for each, score in scores(found, "lira_online_global", WHOLE, MEAN).items()}  # fmt: skip
    together = np.sqrt(np.sum((0.6 / sd) ** 2))
    assert auc[WHOLE] == pytest.approx(norm.cdf(together / np.sqrt(2)), abs=0.025)
    assert auc[WHOLE] > auc[MEAN] + 0.05


def test_of_plain_signals_the_sum_over_rounds_orders_samples_as_their_mean_does():
    found = scores(judged(np.ones((4, 1))), "threshold", WHOLE, MEAN)
    np.testing.assert_allclose(found[WHOLE], 4 * found[MEAN])


def test_an_audit_adds_up_over_the_rounds_that_were_recorded(tmp_path, register):
    register("audits", "membership", MembershipAudit)
    changes = ("data.held_out=0.5", "rounds=3", "data.public=[]", "data.validation=0", "record.every=1")
    done = run(small(*changes), tmp_path)
    settings = MembershipAudit.Config(
        attacks=("threshold",), signals=("loss",), views=("all_rounds", "trajectory", "first_to_last"), resamples=20
    )
    views = json.loads((audit(done.path, settings) / "result.json").read_text())["attacks"]["loss, threshold"]
    assert list(views) == ["all rounds", "trajectory", "first to last"]
    assert views["trajectory"]["auc"]["value"] == pytest.approx(views["all rounds"]["auc"]["value"], abs=1e-9)
