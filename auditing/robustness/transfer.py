"""Which attacks carry over from node to node, and a metric of it that few strengths are enough for.

The metric is that of Ravikumar et al. 2020 (arXiv:2008.01524): fit N_st(eps) = a_st (1 - exp(b_st eps)), the number of
images whose attack on s also fools t, and take N_st(eps) / N_ss(eps) of the fits. The released code multiplies by
1 - exp(b_ss eps) where it should divide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import least_squares
from torch import Tensor

from auditing.robustness.attacks import pgd
from auditing.robustness.budget import PerturbationBudget
from auditing.robustness.ensemble import AttackedModel, Ensemble

Floats = NDArray[np.float64]
EXACT = 1e-14  # relative change at which fitting stops
STEEPEST = -1e3  # b times the largest eps: beyond, the curve is a step


@dataclass(frozen=True)
class Fit:
    """N(eps) = a (1 - exp(b eps)); a >= 0 images, b <= 0."""

    a: float
    b: float

    def __call__(self, eps: float | Floats) -> Floats:
        """N at ``eps``, a number of images."""
        return np.asarray(self.a * -np.expm1(self.b * np.asarray(eps)))

    @classmethod
    def of(cls, eps: Sequence[float], counts: Floats, images: int) -> Fit:
        """The least-squares fit to ``counts`` (float [strengths]) out of ``images``; a is at most ``images``."""
        if not counts.any():
            return cls(0.0, 0.0)
        unit, share = max(eps), np.asarray(counts, dtype=np.float64) / images
        x = np.asarray(eps) / unit

        def misfit(parameters: Floats) -> Floats:
            return np.asarray(cls(*parameters)(x) - share)

        start, bounds = (min(share.max(), 0.999), -2.0), ([0, STEEPEST], [1, 0])
        a, b = least_squares(misfit, start, bounds=bounds, ftol=EXACT, xtol=EXACT, gtol=EXACT).x
        return cls(float(a * images), float(b / unit))


@dataclass(frozen=True)
class Transfers:
    """What fooled which nodes at several strengths.

    Attributes:
        strengths: E of them, as shares of white.
        counts: float64 [E, nodes, nodes]: of the images that nodes s (row) and t both know, those whose attack on s
            fools s and t; on the diagonal, those that s knows and is fooled by.
        clean: float64 [nodes], accuracy on the images.
        images: how many.
    """

    strengths: Sequence[float]
    counts: Floats
    clean: Floats
    images: int

    def fit(self, source: int, target: int) -> Fit:
        """The fit over strengths of what is made for ``source`` and shown to ``target``."""
        return Fit.of(self.strengths, self.counts[:, source, target], self.images)

    def metric(self, eps: float) -> Floats:
        """Transferability N_st / N_ss at ``eps`` by the fits, float64 [nodes, nodes]; 0 where nothing fools s."""
        nodes = len(self.clean)
        fitted = np.array([[self.fit(s, t)(eps) for t in range(nodes)] for s in range(nodes)])
        own = np.diag(fitted)[:, None]
        shares: Floats = np.divide(fitted, own, out=np.zeros_like(fitted), where=own > 0)
        return shares


def transfers(
    models: Sequence[AttackedModel],
    images: Tensor,
    labels: Tensor,
    strengths: Sequence[float],
    budget: PerturbationBudget,
    rng: np.random.Generator,
) -> Transfers:
    """Attack every model by PGD and show the results to all."""
    alone = [Ensemble([model]) for model in models]
    right = torch.stack([each.right(images, labels) for each in alone])
    counts = np.zeros((len(strengths), len(models), len(models)))
    for number, eps in enumerate(strengths):
        for source, ensemble in enumerate(alone):
            crafted = pgd(ensemble, images, labels, replace(budget, eps=eps, patient=True), rng)
            fooled = torch.stack([~each.right(crafted, labels) for each in alone])
            both = right & right[source] & fooled & fooled[source]
            counts[number, source] = both.sum(1).numpy()
    return Transfers(strengths, counts, right.double().mean(1).numpy(), len(labels))
