"""Quantile regression: what a signal may be for a sample that looks so, from public samples alone."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from reference.experiments import small
from scipy.stats import norm

from auditing.attacks.attack import attacks_named
from auditing.attacks.evidence import Evidence
from auditing.attacks.features import public_features
from auditing.membership.audit import MembershipAudit
from auditing.metrics import Ranking
from simulator import run
from simulator.core.preparation import AsStored
from simulator.core.samples import Samples
from simulator.runs.audit import audit

(QUANTILE,) = attacks_named(["quantile"]).values()


def evidence(candidates=1_000, population=1_500, gap=1.0, seed=0):
    """Signals whose mean is 3 sin(2 x) + class and whose spread is e^x, x a feature beside three that mean nothing."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(0, 0.5, (candidates, 4)), rng.normal(0, 0.5, (population, 4))
    labels, usual = rng.integers(0, 3, candidates), rng.integers(0, 3, population)
    member = np.arange(candidates) % 2 == 0

    def signal(feature, label):
        return 3 * np.sin(2 * feature) + label + np.exp(feature) * rng.normal(size=len(feature))

    found = Evidence(
        signal=signal(x[:, 0], labels) + gap * np.exp(x[:, 0]) * member, labels=labels,
        population=signal(z[:, 0], usual), population_labels=usual, features=x, population_features=z,
    )  # fmt: skip
    return found, member


def test_of_non_members_the_score_is_standard_normal_whatever_they_look_like():
    found, member = evidence()
    score, x = QUANTILE.judge(found), found.features[:, 0]
    for part in (x < -0.3, np.abs(x) < 0.3, x > 0.3):
        assert score[part & ~member].mean() == pytest.approx(0, abs=0.3)
        assert score[part & ~member].std() == pytest.approx(1, abs=0.25)


@pytest.mark.slow
def test_members_are_told_as_well_as_if_mean_and_spread_were_known():
    found, member = evidence()
    threshold, score = (Ranking(values, member).roc().auc for values in (found.signal, QUANTILE.judge(found)))
    assert score == pytest.approx(norm.cdf(1 / np.sqrt(2)), abs=0.025)  # d' 1
    assert threshold < score - 0.1


def test_the_fit_sees_the_population_and_no_candidate():
    found, _ = evidence(100, 300)
    score = QUANTILE.judge(found)
    few = QUANTILE.judge(found.at(np.arange(100) < 3))
    np.testing.assert_allclose(few, score[:3], rtol=1e-9)
    other = QUANTILE.judge(replace(found, signal=np.where(np.arange(100) < 3, found.signal, 99.0)))
    np.testing.assert_array_equal(other[:3], score[:3])


def test_what_is_fitted_exactly_or_constant_has_finite_scores():
    found, _ = evidence(50, 80)
    constant = replace(found, population=np.ones(80), signal=np.ones(50))
    np.testing.assert_allclose(QUANTILE.judge(constant), 0, atol=1e-6)
    assert np.isfinite(QUANTILE.judge(replace(constant, signal=found.signal))).all()
    one = replace(found, population=found.population[:2], population_labels=found.population_labels[:2],
                  population_features=found.population_features[:2])  # fmt: skip
    assert np.isfinite(QUANTILE.judge(one)).all()


@pytest.mark.parametrize("width", [6, 3_000])
def test_features_keep_the_distances_of_inputs_that_vary_in_few_directions(width):
    rng = np.random.default_rng(0)
    inputs = torch.from_numpy(rng.normal(size=(90, 5)) @ rng.normal(size=(5, width)) + 7)
    everyone = Samples(inputs, torch.zeros(90), torch.arange(90))
    first, rest = everyone.subset(torch.arange(30)), everyone.subset(torch.arange(30, 90))
    asked, usual = public_features(first, rest, AsStored())
    assert np.mean(np.sum(usual**2, axis=1)) == pytest.approx(1)
    found, true = np.linalg.norm(asked[:, None] - usual, axis=2), torch.cdist(inputs[:30], inputs[30:]).numpy()
    ratio = found / true
    assert ratio.std() / ratio.mean() < (1e-6 if width == 6 else 0.05)
    again, _ = public_features(first.subset(torch.arange(2)), rest, AsStored())
    np.testing.assert_allclose(again, asked[:2], atol=1e-9)


@pytest.mark.slow
def test_an_audit_carries_it_out_without_replicas(tmp_path, register):
    register("audits", "membership", MembershipAudit)
    done = run(small("data.held_out=0.5", "rounds=1", "data.public=[]", "data.validation=0"), tmp_path)
    settings = MembershipAudit.Config(
        attacks=("quantile",), signals=("loss", "logit_margin"), views=("final_model",), resamples=20, samples=40
    )
    found = json.loads((audit(done.path, settings) / "result.json").read_text())["attacks"]
    assert set(found) == {"loss, quantile", "logit_margin, quantile"}
    assert 0.3 < found["logit_margin, quantile"]["final model"]["auc"]["value"] < 0.7
