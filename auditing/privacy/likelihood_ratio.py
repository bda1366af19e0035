"""How much likelier what a round shows of a canary is with it than without: no attack weighs it better."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from scipy.stats import binom

Floats = NDArray[np.float64]


def log_likelihood_ratio(shown: Floats, noise_multiplier: float, sample_rate: float, steps: int = 1) -> Floats:
    """log sum_k Bin(k; L, q) exp((k s - k^2 / 2) / (L sigma^2)) of each s in ``shown``, over k = 0..L. float64 [...].

    A canary that is in is in the batch of each of L local steps with probability q, and each time leaves one clip, of
    which the message shows the sum: s ~ k + N(0, L sigma^2) with k ~ Bin(L, q). Of one that is out, it shows the noise.
    With one step this is log(1 - q + q exp((s - 1/2) / sigma^2)), the privacy loss that accountants of DP-SGD compose;
    with more, less is seen than they count on. Sums over rounds are the best scores that there are (Neyman-Pearson).

    Args:
        shown: s, in clips.
        noise_multiplier: sigma, of a step.
        sample_rate: q.
        steps: L.
    """
    counts = np.arange(steps + 1)
    exponents = (counts * shown[..., None] - counts**2 / 2) / (steps * noise_multiplier**2)
    found: Floats = logsumexp(exponents, b=binom.pmf(counts, steps, sample_rate), axis=-1)
    return found
