"""Areas under curves from histograms against scikit-learn, which keeps every score."""

import numpy as np
import pytest
import torch
from reference.marks import first
from sklearn.metrics import average_precision_score, roc_auc_score

from simulator.tasks.curves import auroc, average_precision, histogram

# Samples, share of positives, how many deviations they are ahead, deviation and mean of the negatives' scores.
REALISTIC = [
    (40, 0.2, 1, 3, -3),
    (200, 0.1, 1.5, 2, -2),
    (1000, 0.5, 1, 1, 0),
    (1000, 0.1, 2, 3, -4),
    (10000, 0.3, 1, 1, 0),
]


def areas(scores, positive):
    found = histogram(torch.tensor(scores)[:, None], torch.tensor(positive)[:, None])
    return np.array([auroc(**found).item(), average_precision(**found).item()])


def exact(scores, positive):
    return np.array([roc_auc_score(positive, scores), average_precision_score(positive, scores)])


def errors(size, share, ahead, deviation, mean, trials=20):
    random = np.random.default_rng(0)
    for _ in range(trials):
        positive = random.random(size) < share
        positive[:2] = True, False
        scores = mean + deviation * (random.normal(size=size) + ahead * positive)
        yield abs(areas(scores, positive) - exact(scores, positive))


@pytest.mark.parametrize("drawn", first([(drawn,) for drawn in REALISTIC], by_default=3))
def test_the_error_is_far_below_a_ten_thousandth(drawn):
    assert np.mean(list(errors(*drawn)), axis=0).max() < 3e-5  # 0, 1.8e-5, 1.7e-5, 2.0e-5, 0.5e-5 measured


@pytest.mark.parametrize(("spread", "error"), [(0.1, 1e-4), (0.01, 5e-4)])  # 0.5e-4 and 2.7e-4 measured
def test_scores_within_few_bins_come_out_coarser(spread, error):
    assert np.mean(list(errors(1000, 0.5, 1, spread, 0.05)), axis=0).max() < error


def test_scores_of_few_different_values_are_ties_and_count_half():
    random = np.random.default_rng(1)
    positive = random.random(500) < 0.4
    scores = random.integers(0, 4, 500) + positive

    np.testing.assert_allclose(areas(scores.astype(float), positive), exact(scores, positive), atol=1e-12)


def test_one_score_for_all_is_chance_and_prevalence():
    np.testing.assert_allclose(areas(np.full(8, -1.3), np.arange(8) < 3), [0.5, 3 / 8], atol=1e-12)


def test_one_pair_within_a_bin_is_ordered():
    assert areas(np.array([0.10000, 0.10001]), np.array([False, True])).tolist() == [1, 1]
    assert areas(np.array([0.10001, 0.10000]), np.array([False, True])).tolist() == [0, 0.5]
    assert areas(np.array([0.1, 0.1]), np.array([False, True])).tolist() == [0.5, 0.5]


def test_scores_beyond_the_limit_and_infinite_ones_are_at_the_ends():
    assert areas(np.array([-np.inf, -1e6, 1e6, np.inf]), np.array([False, False, True, True])).tolist() == [1, 1]


@pytest.mark.parametrize("kind", [True, False])
def test_samples_of_one_kind_have_no_area(kind):
    assert np.isnan(areas(np.arange(4.0), np.full(4, kind))).all()


def test_labels_do_not_mix():
    random = np.random.default_rng(2)
    scores, positive = random.normal(size=(50, 3)), random.random((50, 3)) < 0.5
    found = histogram(torch.tensor(scores), torch.tensor(positive))

    for label in range(3):
        alone = areas(scores[:, label], positive[:, label])
        assert [auroc(**found)[label].item(), average_precision(**found)[label].item()] == alone.tolist()
