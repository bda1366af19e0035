"""Thresholds on scores."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.twins import best_threshold, youden

from methods.idkd.settings import IDKDSettings
from methods.idkd.thresholds import ROC_POINTS, Calibration, choose, roc, tpr_threshold, youden_threshold

scores = st.lists(st.sampled_from(np.linspace(0, 1, 12).tolist()), min_size=1, max_size=15).map(np.array)


class TestThreshold:
    @settings(max_examples=200)
    @given(scores, scores)
    def test_no_threshold_separates_better(self, inside, outside):
        threshold = youden_threshold(inside, outside)

        assert youden(inside, outside, threshold) == pytest.approx(max(best_threshold(inside, outside), 0), abs=1e-12)

    def test_separates_two_beta_distributions_where_their_densities_cross(self):
        """Beta(8, 2) against Beta(2, 8) cross at 1/2; J there is 2 F(1/2; 2, 8) - 1 = 0.961."""
        rng = np.random.default_rng(0)
        inside, outside = rng.beta(8, 2, 4000), rng.beta(2, 8, 4000)
        threshold = youden_threshold(inside, outside)

        assert threshold == pytest.approx(0.5, abs=0.06)
        assert youden(inside, outside, threshold) == pytest.approx(0.961, abs=0.02)

    def test_swapped_inputs_give_no_useful_threshold(self):
        """Guards against scoring out-of-distribution samples as positives: then nothing may be labelled."""
        rng = np.random.default_rng(0)
        inside, outside = rng.uniform(0.6, 1, 200), rng.uniform(0, 0.5, 200)

        assert youden(inside, outside, youden_threshold(inside, outside)) == 1
        assert youden_threshold(outside, inside) == np.inf

    def test_is_exclusive_of_the_outside_and_inclusive_of_the_inside(self):
        threshold = youden_threshold(np.array([0.7, 0.9]), np.array([0.2, 0.4]))

        assert 0.4 <= threshold < 0.7

    def test_equal_scores_everywhere_give_none(self):
        assert youden_threshold(np.full(4, 0.5), np.full(4, 0.5)) == np.inf


class TestTpr:
    @given(scores, st.floats(0.01, 1))
    def test_keeps_the_share_and_no_higher_threshold_does(self, inside, rate):
        threshold = tpr_threshold(inside, rate)

        assert (inside > threshold).mean() >= rate - 1e-9
        assert (inside > np.nextafter(threshold, np.inf)).mean() < rate

    def test_keeps_95_of_100(self):
        assert (np.arange(100) > tpr_threshold(np.arange(100.0), 0.95)).sum() == 95

    def test_a_share_that_floats_round_up_is_not_exceeded(self):
        assert (np.arange(100) > tpr_threshold(np.arange(100.0), 0.07)).sum() == 7


def calibration(inside, outside):
    return Calibration(np.array(inside), np.array(inside), np.array(outside))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [({"threshold": "none"}, -np.inf), ({"threshold": -2.5}, -2.5), ({"threshold": "tpr", "tpr": 0.5}, 0.8)],
)
def test_each_rule_chooses_its_own(rule, expected):
    chosen = choose(IDKDSettings(first_round=1, **rule), calibration([0.6, 0.8], [0.7, 0.1]))

    assert chosen == pytest.approx(expected)


def test_every_validation_sample_counts_for_tpr_and_equally_many_of_both_for_youden():
    drawn = Calibration.draw(np.arange(10.0), np.arange(4.0), np.random.default_rng(0))

    assert [len(scores) for scores in drawn] == [10, 4, 4]
    assert len(set(drawn.inside)) == 4


class TestRoc:
    def test_is_the_curve_and_its_area(self):
        area, false_rate, true_rate = roc(calibration([0.9, 0.4], [0.6, 0.1]))

        assert area == 0.75
        assert np.trapezoid(true_rate, false_rate) == 0.75
        assert (false_rate[0], true_rate[0], false_rate[-1], true_rate[-1]) == (0, 0, 1, 1)

    def test_a_long_curve_is_thinned_and_keeps_its_ends(self):
        rng = np.random.default_rng(0)
        area, false_rate, true_rate = roc(calibration(rng.normal(1, 1, 3000), rng.normal(0, 1, 3000)))

        assert len(false_rate) == len(true_rate) == ROC_POINTS
        assert np.trapezoid(true_rate, false_rate) == pytest.approx(area, abs=2e-3)
        assert (false_rate[0], true_rate[-1]) == (0, 1)
