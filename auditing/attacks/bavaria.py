"""BaVarIA (Braennvall 2026, arXiv:2603.11799): LiRA with a prior for what few references cannot tell.

A candidate's signal is Gaussian among the models of a side, as in LiRA, with a mean and a variance that are drawn from
a normal-inverse-gamma prior common to all candidates of the side. The prior is estimated from all of them (empirical
Bayes), and the posterior's predictive distribution, Student's t, takes the place of the Gaussian. With many references
it is LiRA with each candidate's own spread, with few it draws means and spreads towards the usual ones; LiRA knows only
one or the other, with a threshold between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.stats import t

from auditing.attacks.attack import Attack
from auditing.attacks.evidence import Evidence, Floats, References

SURE = 1e6  # a prior's weight in references: where candidates differ by no more than chance, all are alike


@dataclass(frozen=True)
class Prior:
    """Normal-inverse-gamma: 1 / variance is Gamma(shape, rate), a mean is N(mean, variance / strength).

    Attributes:
        mean: of candidates' means.
        strength: how many references of a candidate weigh as much as the prior's mean does (k0).
        shape: a0, half as many for the variance.
        rate: b0.
    """

    mean: float
    strength: float
    shape: float
    rate: float


@dataclass(frozen=True)
class Predictive:
    """Student's t for the signal of each candidate, all float64 [N]."""

    freedom: Floats
    centre: Floats
    scale: Floats

    def log_density(self, x: Floats) -> Floats:
        """Its logarithm at ``x``, float64 [N]."""
        found: Floats = t.logpdf(x, self.freedom, self.centre, self.scale)
        return found

    def surprise(self, x: Floats) -> Floats:
        """-log of the chance of a signal above ``x``, float64 [N]."""
        found: Floats = -t.logsf(x, self.freedom, self.centre, self.scale)
        return found


def usual(references: References) -> Prior:
    """The prior by the moments of all candidates' means and variances, less what few references make them scatter.

    With v the variances of candidates that have n > 1 references, E[v^2] is (1 + 2 / (n - 1)) E[variance^2]; the means
    scatter by variance / n more than those they estimate.
    """
    count, mean, squares = _moments(references)
    known = count > 0
    freedom = count[count > 1] - 1
    variance = squares[count > 1] / freedom
    if not (within := float(variance.mean()) if len(variance) else 0.0):
        within, variance, freedom = 1.0, np.ones(1), np.full(1, np.inf)  # as `References.sd` has it
    scatter = float(np.mean(variance**2 / (1 + 2 / freedom))) - within**2
    shape = min(2 + within**2 / scatter, SURE) if scatter > 0 else SURE
    between = float(mean[known].var() - within * (1 / count[known]).mean()) if known.any() else 0.0
    strength = min(within / between, SURE) if between > 0 else SURE
    return Prior(float(mean[known].mean()) if known.any() else 0.0, strength, shape, within * (shape - 1))


def predictive(references: References, prior: Prior) -> Predictive:
    """What a further reference of each candidate would show."""
    count, mean, squares = _moments(references)
    strength, shape = prior.strength + count, prior.shape + count / 2
    centre = (prior.strength * prior.mean + count * mean) / strength
    rate = prior.rate + squares / 2 + prior.strength * count * (mean - prior.mean) ** 2 / (2 * strength)
    return Predictive(2 * shape, centre, np.sqrt(rate * (strength + 1) / (shape * strength)))


def _moments(references: References) -> tuple[Floats, Floats, Floats]:
    """Number, mean (0 of none) and squared deviations from it of each candidate's references, float64 [N] each."""
    count = references.chosen.sum(axis=0).astype(np.float64)
    mean = np.where(references.chosen, references.values, 0.0).sum(axis=0) / np.maximum(count, 1)
    return count, mean, (np.where(references.chosen, references.values - mean, 0.0) ** 2).sum(axis=0)


class Online(Attack):
    """Ratio of the signal's likelihoods as LiRA's, with a prior for what few references cannot tell (BaVarIA, 2026)."""

    replicas: ClassVar[int] = 2

    def judge(self, evidence: Evidence) -> Floats:
        """The logarithm of the ratio of the two predictive densities, float64 [N]."""
        inside, outside = (predictive(side, usual(side)) for side in (evidence.inside, evidence.outside))
        return inside.log_density(evidence.signal) - outside.log_density(evidence.signal)


class Offline(Attack):
    """How unlikely the signal is in references that did not train on the candidate, with that prior (BaVarIA, 2026)."""

    replicas: ClassVar[int] = 2

    def judge(self, evidence: Evidence) -> Floats:
        """The surprise at so high a signal, float64 [N]; see `Predictive.surprise`."""
        return predictive(evidence.outside, usual(evidence.outside)).surprise(evidence.signal)
