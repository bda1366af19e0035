"""Choosing samples by scores: budgets, order, and coverage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from simulator.core.acting import idle
from simulator.data.coreset import CoresetChoice, coreset, equal, even, part, proportional, stratified

SIZES = st.lists(st.integers(1, 60), min_size=1, max_size=12).map(np.array)
SHARES = st.floats(0.01, 1)


def samples(seed=0, count=200, classes=4):
    rng = np.random.default_rng(seed)
    labels = rng.choice(classes, count, p=np.arange(1, classes + 1) / sum(range(1, classes + 1)))
    return {name: rng.normal(size=count) for name in ("ltc", "aum", "probability_margin", "random")}, labels


def choice(**settings):
    return CoresetChoice(**{"score": "ltc", **settings})


@given(SIZES, st.integers(0, 700))
def test_even_budgets_are_all_there_is_to_give_and_as_even_as_sizes_allow(sizes, total):
    total = min(total, int(sizes.sum()))
    budgets = even(sizes, total)

    assert budgets.sum() == total
    assert (budgets <= sizes).all()
    short = budgets < sizes
    assert not short.any() or budgets[short].max() - budgets[short].min() <= 1
    assert not short.any() or budgets.max() <= budgets[short].max()


@given(SIZES, SHARES)
def test_proportional_budgets_keep_the_skew_and_equal_ones_do_not(sizes, share):
    kept = proportional(sizes, share)

    assert (kept >= share * sizes - 1e-6).all()
    assert (kept < share * sizes + 1).all()
    assert equal(sizes, share).sum() == part(int(sizes.sum()), share)
    assert proportional(sizes, 1.0).tolist() == equal(sizes, 1.0).tolist() == sizes.tolist()


def test_a_share_is_not_rounded_up_for_the_error_of_floats():
    assert 0.07 * 100 > 7
    assert part(100, 0.07) == 7
    assert part(101, 0.07) == 8


@pytest.mark.parametrize(
    ("prefer", "key"), [("high", lambda s: -s), ("low", lambda s: s), ("zero", lambda s: np.abs(s))]
)
def test_of_each_class_the_preferred_are_kept(prefer, key):
    scores, labels = samples()
    kept = coreset(scores, labels, choice(prefer=prefer, share=0.2))

    for c in range(4):
        own = np.flatnonzero(labels == c)
        best = own[np.argsort(key(scores["ltc"][own]))][: part(len(own), 0.2)]
        assert set(kept[labels[kept] == c]) == set(best)


def test_positive_comes_before_zero_and_zero_before_negative():
    scores = {"ltc": np.array([-0.5, 0.0, 0.5, -0.1, 0.1, 0.0])}

    order = [coreset(scores, np.zeros(6, int), choice(share=k / 6)).tolist() for k in range(1, 7)]
    assert order == [[2], [2, 4], [1, 2, 4], [1, 2, 4, 5], [1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5]]


@given(st.integers(0, 50), st.sampled_from(["ltc", "random", "aum", "ccs"]), SHARES)
def test_the_order_of_samples_makes_no_difference(seed, score, share):
    scores, labels = samples(seed)
    order = np.random.default_rng(seed + 1).permutation(len(labels))
    moved = coreset({name: values[order] for name, values in scores.items()}, labels[order], choice(score=score))

    assert sorted(order[moved]) == coreset(scores, labels, choice(score=score)).tolist()


def test_samples_without_a_score_are_kept_beside_the_budget():
    scores, labels = samples()
    for name in ("ltc", "probability_margin"):
        scores[name][[3, 77]] = np.nan
    for score in ("ltc", "ccs"):
        kept = coreset(scores, labels, choice(score=score, share=0.1))
        assert {3, 77} <= set(kept)
        assert len(kept) == len(set(kept))
        assert len(kept) <= 2 + 198 * 0.1 + 4


def test_coverage_goes_by_margins_of_probabilities_as_released_or_of_logits():
    scores, labels = samples()
    by = {name: stratified(scores[name], scores["random"], 0.3, 0.1) for name in ("probability_margin", "aum")}

    settings = {"score": "ccs", "share": 0.3, "hardest": 0.1}
    assert coreset(scores, labels, choice(**settings)).tolist() == sorted(by["probability_margin"])
    assert coreset(scores, labels, choice(**settings, margin="logit")).tolist() == sorted(by["aum"])
    assert sorted(by["aum"]) != sorted(by["probability_margin"])


def test_everything_is_a_coreset_too():
    scores, labels = samples()
    for settings in ({}, {"per_class": "equal"}, {"score": "ccs"}):
        assert coreset(scores, labels, choice(share=1.0, **settings)).tolist() == list(range(200))


def test_equal_budgets_flatten_the_classes():
    scores, labels = samples()
    kept = np.bincount(labels[coreset(scores, labels, choice(share=0.3, per_class="equal"))])

    assert kept.sum() == 60
    assert kept.max() - kept.min() <= 1


def test_coverage_leaves_out_the_hardest_and_reaches_all_others():
    rng = np.random.default_rng(0)
    hardness = np.sort(rng.exponential(size=1000))
    kept = stratified(hardness, rng.random(1000), share=0.2, hardest=0.1)

    assert len(kept) == len(set(kept)) == 200
    assert kept.max() < 900
    strata = np.histogram(hardness[kept], np.linspace(hardness[0], hardness[899], 51))[0]
    there = np.histogram(hardness[:900], np.linspace(hardness[0], hardness[899], 51))[0]
    assert (strata[there > 0] > 0).all()
    assert strata.max() - strata[strata < there].min() <= 1


def test_coverage_cannot_keep_more_than_it_leaves():
    rng = np.random.default_rng(0)

    assert len(stratified(rng.random(100), rng.random(100), share=0.8, hardest=0.5)) == 50
    assert len(stratified(np.empty(0), np.empty(0), share=0.8, hardest=0.5)) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"share": 0},
        {"share": 1.5},
        {"prefer": "best"},
        {"score": "ccs", "hardest": 1},
    ],
)
def test_bad_settings_are_refused(wrong):
    with pytest.raises(ValidationError):
        choice(**wrong)


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        ({"hardest": 0.1}, "hardest"),
        ({"margin": "logit"}, "margin"),
        ({"score": "ccs", "prefer": "low"}, "prefer"),
        ({"score": "ccs", "per_class": "equal"}, "per_class"),
    ],
)
def test_what_the_score_makes_no_use_of_is_told(settings, setting):
    assert [place for place, _ in idle(choice(**settings))] == [(setting,)]
    assert not list(idle(choice(score="ccs", hardest=0.1, margin="logit")))
