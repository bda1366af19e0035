"""The statistics of Curvature Clues (Ravikumar et al. 2024, arXiv:2407.02747), for any signal.

With s the signal, Gaussian with means mu_in and mu_out over the references that did and did not train on a candidate::

    NLL:  [(s - mu_out)^2 - (s - mu_in)^2] / (2 v)            v = var_in, for both hypotheses
    LR:   N(s; mu_in, sd_in) / (N(s; mu_out, sd_out) + 1e-22)

The released code passes variances where standard deviations are expected: v = var_in^2, sd = var. That gives candidates
weights of 1 / sd^4 and ranks them differently; these variants are called ``released``. LR is returned as its logarithm,
which orders candidates alike and does not underflow.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from auditing.attacks.attack import Attack
from auditing.attacks.evidence import Evidence, Floats, References, log_density

GUARD = 1e-22


def nll(evidence: Evidence, released: bool = False) -> Floats:
    """Difference of the negative log-likelihoods at one variance, float64 [N]; linear in the signal."""
    inside, outside = evidence.inside, evidence.outside
    out, within = (evidence.signal - side.mean for side in (outside, inside))
    return (out**2 - within**2) / (2 * _scale(inside, released) ** 2)


def lr(evidence: Evidence, released: bool = False) -> Floats:
    """Logarithm of the ratio of likelihoods, float64 [N]."""
    inside, outside = (
        log_density(evidence.signal, side.mean, _scale(side, released)) for side in (evidence.inside, evidence.outside)
    )
    return inside - np.logaddexp(outside, np.log(GUARD))


def _scale(references: References, released: bool) -> Floats:
    """Standard deviations; as released, variances in their place."""
    sd = references.sd("per_example")
    return sd**2 if released else sd


class Nll(Attack):
    """Difference of the signal's likelihoods at one variance (Curvature Clues, 2024)."""

    replicas: ClassVar[int] = 2
    released: ClassVar[bool] = False

    def judge(self, evidence: Evidence) -> Floats:
        """NLL of each candidate; see `nll`."""
        return nll(evidence, self.released)


class ReleasedNll(Nll):
    """The difference of likelihoods with variances for standard deviations, as in the released code."""

    released: ClassVar[bool] = True
    variant: ClassVar[bool] = True


class Lr(Attack):
    """Ratio of the signal's likelihoods at their own variances (Curvature Clues, 2024)."""

    replicas: ClassVar[int] = 2
    released: ClassVar[bool] = False

    def judge(self, evidence: Evidence) -> Floats:
        """LR of each candidate; see `lr`."""
        return lr(evidence, self.released)


class ReleasedLr(Lr):
    """The ratio of likelihoods with variances for standard deviations, as in the released code."""

    released: ClassVar[bool] = True
    variant: ClassVar[bool] = True
