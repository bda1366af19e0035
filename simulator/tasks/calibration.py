"""Whether probabilities are what they say: the expected calibration error, from sums that add up."""

from __future__ import annotations

from torch import Tensor

BINS = 15  # as in Guo et al. 2017, arXiv:1706.04599


def residuals(chances: Tensor, held: Tensor) -> Tensor:
    """float64 [L, BINS]: by bins of equal width of the predicted probability, the sum of outcome minus probability.

    Args:
        chances: float64 [B, L], of B samples for each of L labels.
        held: float64 [B, L], 1 where a sample has a label and 0 where not.
    """
    bins = (chances.nan_to_num() * BINS).long().clamp(max=BINS - 1)
    return chances.new_zeros(BINS, chances.shape[1]).scatter_add(0, bins, held - chances).T.contiguous()


def expected_calibration_error(residuals: Tensor, samples: Tensor) -> Tensor:
    """float64 [L]: the mean over samples of how far their bin's mean probability is from its share of outcomes.

    It is sum_b n_b / n |mean outcome - mean probability|, where the n_b of a bin b cancels.
    """
    return residuals.abs().sum(1) / samples
