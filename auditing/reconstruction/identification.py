"""How good reconstructions are: whether they point at the right sample, and how close they come to it.

Reconstructions are matched one to one with the samples of the victim's batches, so that the sum of squared errors is
smallest (Hungarian method); a maximum over all pairs would flatter whatever is guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter
from scipy.optimize import linear_sum_assignment

Floats = NDArray[np.float64]
WINDOW, SIGMA, SMALL = 11, 1.5, 7  # of SSIM: a Gaussian, or where images are smaller than it, a square of seven
MOST = 400.0  # dB, more than float64 tells apart; files of results hold no infinity
VERBATIM = 1 / 255  # of the range: the largest error of a sample that is there to the last bit of a pixel


@dataclass(frozen=True)
class Match:
    """Reconstructions and the samples that they are matched with, both float64 [K, ...].

    Attributes:
        found: places among the reconstructions, int64 [K].
        true: places among the true samples, int64 [K].
        errors: mean squared errors, float64 [K].
    """

    found: NDArray[np.int64]
    true: NDArray[np.int64]
    errors: Floats


def squared_errors(one: Floats, other: Floats) -> Floats:
    """The mean squared error of each of ``one`` [N, ...] to each of ``other`` [M, ...], float64 [N, M]."""
    a, b = one.reshape(len(one), -1), other.reshape(len(other), -1)
    total = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return np.asarray(np.maximum(total, 0) / max(a.shape[1], 1))


def matched(found: Floats, true: Floats) -> Match:
    """The one-to-one matching of the smallest total error; of what is more, some stay alone."""
    errors = squared_errors(found, true)
    rows, columns = linear_sum_assignment(errors)
    exact = np.array([((found[i] - true[j]) ** 2).mean() for i, j in zip(rows, columns, strict=True)])
    return Match(rows, columns, exact)


def ranks(found: Floats, match: Match, pool: Floats, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """At which place, from 1, the true sample stands among a pool, by distance to what was found; int64 [K].

    Args:
        found: reconstructions.
        match: with the true samples.
        pool: float64 [M, ...], the victim's training set, and as many samples that it has not.
        rows: int64 [true samples], where each stands in the pool.

    Others that are as close count as closer: a reconstruction that fits all alike identifies nobody. Copies of the true
    sample are that sample.
    """
    errors, true = squared_errors(found[match.found], pool), pool[rows[match.true]]
    own = errors[np.arange(len(errors)), rows[match.true]]
    copies = np.array([(pool == one).reshape(len(pool), -1).all(1) for one in true])
    closer = ((errors <= own[:, None] * (1 + 1e-9)) & ~copies).sum(1) + 1
    return np.asarray(closer, dtype=np.int64)


def psnr(error: Floats) -> Floats:
    """Peak signal-to-noise ratio in dB of mean squared errors on [0, 1]; `MOST` where there is none."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.minimum(-10 * np.log10(error), MOST))


def ssim(one: Floats, other: Floats) -> float:
    """Structural similarity (Wang et al. 2004) of two images [channels, height, width] on [0, 1]; 1 if they are equal.

    Means and variances within a Gaussian of standard deviation 1.5, cut off at 11 pixels; in images of fewer than that,
    within squares of 7.
    """
    small = min(one.shape[1:]) < WINDOW

    def smooth(values: Floats) -> Floats:
        if small:
            found: Floats = uniform_filter(values, (0, SMALL, SMALL))
        else:
            found = gaussian_filter(values, (0, SIGMA, SIGMA), radius=(0, WINDOW // 2, WINDOW // 2))
        return found

    a, b = smooth(one), smooth(other)
    aa, bb, ab = smooth(one * one) - a * a, smooth(other * other) - b * b, smooth(one * other) - a * b
    c1, c2 = 0.01**2, 0.03**2
    values = ((2 * a * b + c1) * (2 * ab + c2)) / ((a * a + b * b + c1) * (aa + bb + c2))
    return float(values.mean())


def nearest(true: Floats, public: Floats) -> Floats:
    """For each of ``true`` [K, ...] the closest of ``public`` [M, ...]: the best that an attacker had."""
    return np.asarray(public[squared_errors(true, public).argmin(1)])


def verbatim(found: Floats, true: Floats) -> NDArray[np.bool_]:
    """Whether each is the sample itself, to the last of 256 shades, bool [K]."""
    return np.asarray(np.abs(found - true).reshape(len(found), -1).max(1, initial=0) < VERBATIM)


def median(values: Any) -> float | None:
    """The median; None of nothing."""
    return float(np.median(values)) if len(values) else None
