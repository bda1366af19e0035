import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from auditing import metrics
from auditing.metrics import Ranking, Resamples, aucs, estimates, resolvable


def statistics(roc):
    return {"auc": roc.auc, "tpr": roc.tpr_at(0.1)}


def interval(scores, member, strata=None, seed=0, number=300):
    strata = member.astype(np.int64) if strata is None else strata
    ranking = Ranking(scores, member)
    resamples = Resamples(strata, number, np.random.default_rng(seed))
    return estimates(ranking.roc(), resamples.rocs(ranking, np.arange(len(scores))), statistics)["auc"]


def test_by_hand():
    # From the top: member, non-member, member and non-member at once, member, non-member.
    member = np.array([True, False, True, False, True, False])
    roc = Ranking(np.array([9.0, 7.0, 5.0, 5.0, 3.0, 1.0]), member).roc()
    assert roc.fpr.tolist() == pytest.approx([0, 0, 1 / 3, 2 / 3, 2 / 3, 1])
    assert roc.tpr.tolist() == pytest.approx([0, 1 / 3, 1 / 3, 2 / 3, 1, 1])
    assert roc.auc == pytest.approx((3 + 1.5 + 1) / 9)  # of nine pairs: 3, 1 and a tie, 1
    assert roc.balanced_accuracy == pytest.approx(2 / 3)
    assert (roc.tpr_at(0.0), roc.tpr_at(0.5)) == pytest.approx((1 / 3, 1 / 3))  # nothing between thresholds


def test_weights_count_a_candidate_many_times():
    rng = np.random.default_rng(0)
    scores, member, weights = rng.normal(size=50).round(1), rng.random(50) < 0.5, rng.integers(0, 4, 50)
    weighted = Ranking(scores, member).roc(weights)
    repeated = Ranking(np.repeat(scores, weights), np.repeat(member, weights)).roc()
    assert weighted.auc == pytest.approx(repeated.auc)
    assert weighted.tpr_at(0.2) == pytest.approx(repeated.tpr_at(0.2))


def test_like_sklearn():
    rng = np.random.default_rng(0)
    for decimals in (1, 8):
        scores, member = rng.normal(size=300).round(decimals), rng.random(300) < 0.4
        roc = Ranking(scores, member).roc()
        fpr, tpr, _ = roc_curve(member, scores, drop_intermediate=False)
        np.testing.assert_allclose([roc.fpr, roc.tpr], [fpr, tpr])
        assert roc.auc == pytest.approx(roc_auc_score(member, scores))


def test_the_interval_of_random_scores_covers_chance_about_as_often_as_it_says():
    rng, covered = np.random.default_rng(0), 0
    for seed in range(100):
        member = np.repeat([True, False], 60)
        found = interval(rng.normal(size=120), member, seed=seed, number=200)
        covered += found.low <= 0.5 <= found.high
    assert 88 <= covered <= 99


def test_resamples_keep_the_size_of_every_stratum():
    strata = np.array([0, 0, 0, 1, 1, 2])
    counts = Resamples(strata, 20, np.random.default_rng(0)).counts
    assert all((counts[:, strata == stratum].sum(1) == (strata == stratum).sum()).all() for stratum in range(3))
    assert (counts[:, 5] == 1).all()


def test_an_fpr_needs_as_many_non_members():
    assert resolvable(0.01, 100)
    assert not resolvable(0.01, 99)
    assert not resolvable(0.001, 100)


@pytest.mark.parametrize("at_once", [1, 150, 2**15])
def test_curves_that_are_made_together_are_those_of_each_resample(at_once, monkeypatch):
    monkeypatch.setattr(metrics, "AT_ONCE", at_once)
    rng, strata = np.random.default_rng(0), np.tile([0, 1], 30)
    candidates = np.concatenate([np.arange(60), rng.integers(0, 60, 20)])
    for decimals in (1, 8):
        ranking = Ranking(rng.normal(size=80).round(decimals), strata[candidates] == 1)
        resamples = Resamples(strata, 7, np.random.default_rng(1))
        alone = [ranking.roc(counts[candidates]) for counts in resamples.counts]
        blocks = list(resamples.rocs(ranking, candidates))
        for read in (lambda roc: roc.auc, lambda roc: roc.balanced_accuracy, lambda roc: roc.tpr_at(0.1)):
            found = np.concatenate([read(block) for block in blocks])
            assert found.tolist() == [read(each) for each in alone]


def test_aucs_without_curves_are_those_of_the_curves():
    rng, member = np.random.default_rng(0), np.arange(50) % 3 == 0
    scores = np.stack([rng.normal(size=50).round(decimals) + member for decimals in (0, 1, 8)])
    np.testing.assert_allclose(aucs(scores, member), [Ranking(each, member).roc().auc for each in scores], rtol=1e-12)
    roc, fprs = Ranking(scores[2], member).roc(), np.linspace(0, 1, 20)
    assert roc.tprs_at(fprs).tolist() == [roc.tpr_at(fpr) for fpr in fprs]
    members = np.stack([member, ~member, np.roll(member, 1)])
    expected = [Ranking(*pair).roc().auc for pair in zip(scores, members, strict=True)]
    np.testing.assert_allclose(aucs(scores, members), expected, rtol=1e-12)
