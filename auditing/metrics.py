"""How well scores tell members from non-members: ROC curve, AUC, true-positive rate at a low false-positive rate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Roc:
    """Rates at all thresholds, from none called a member to all: ``fpr`` and ``tpr``, float64 [thresholds + 1]."""

    fpr: Floats
    tpr: Floats

    @property
    def auc(self) -> float:
        """Probability that a member scores above a non-member, ties counted half."""
        return float(np.trapezoid(self.tpr, self.fpr))

    @property
    def balanced_accuracy(self) -> float:
        """The balanced accuracy at the best threshold, chosen in hindsight: max (TPR + 1 - FPR) / 2."""
        return float((self.tpr + 1 - self.fpr).max() / 2)

    def tpr_at(self, fpr: float) -> float:
        """The highest TPR at a threshold with at most this FPR; between thresholds nothing is interpolated."""
        return float(self.tpr[self.fpr <= fpr].max())


class Ranking:
    """Scores in descending order, sorted once for many ROC curves.

    Args:
        scores: float64 [N], high for members.
        member: bool [N]; there must be members and non-members.

    Raises:
        ValueError: a score is NaN, which has no place in an order; whoever made it must refuse it.
    """

    def __init__(self, scores: Floats, member: NDArray[np.bool_]) -> None:
        if np.isnan(scores).any():
            raise ValueError(f"the score of candidate {int(np.isnan(scores).argmax())} is NaN")
        self._order = np.argsort(-scores, kind="stable")
        self._member = member[self._order]
        ends = np.diff(scores[self._order], append=np.nan) != 0  # equal scores share one threshold
        self._ends = np.flatnonzero(ends)

    def roc(self, weights: NDArray[np.int64] | None = None) -> Roc:
        """The curve, each candidate counted ``weights`` times (int64 [N], default once)."""
        counts = np.ones(len(self._order)) if weights is None else weights[self._order]
        positives, negatives = np.cumsum(counts * self._member), np.cumsum(counts * ~self._member)
        fpr, tpr = (np.append(0.0, sums[self._ends] / sums[-1]) for sums in (negatives, positives))
        return Roc(fpr, tpr)


@dataclass(frozen=True)
class Estimate:
    """A value and its bootstrap interval at 95 %; all NaN where there are too few non-members to tell."""

    value: float
    low: float
    high: float


class Resamples:
    """A stratified bootstrap: how often each candidate is drawn, in each of many resamples.

    Candidates are drawn anew within each stratum. Models stay as they are: intervals hold for these models, not for
    other seeds.

    Args:
        strata: int64 [N], the stratum of each candidate.
        number: of resamples.
        rng: draws them.
    """

    def __init__(self, strata: NDArray[np.int64], number: int, rng: np.random.Generator) -> None:
        self.counts = np.zeros((number, len(strata)), dtype=np.int64)
        for stratum in np.unique(strata):
            rows = np.flatnonzero(strata == stratum)
            self.counts[:, rows] = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=number)

    def rocs(self, ranking: Ranking, candidates: NDArray[np.int64]) -> Iterator[Roc]:
        """Curves of ``ranking``, whose scores are those of ``candidates`` (int64 [M], one may occur many times)."""
        return (ranking.roc(counts[candidates]) for counts in self.counts)


def estimates(
    roc: Roc, resampled: Iterable[Roc], statistics: Callable[[Roc], Mapping[str, float]]
) -> dict[str, Estimate]:
    """The ``statistics`` of a curve, each with its percentile interval over the ``resampled`` curves."""
    values = np.array([list(statistics(each).values()) for each in resampled])
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    found = zip(statistics(roc).items(), low, high, strict=True)
    return {name: Estimate(value, float(a), float(b)) for (name, value), a, b in found}


def resolvable(fpr: float, non_members: int) -> bool:
    """Whether so many different non-members can show an FPR: below 1 in their number, it is that of none at all."""
    return fpr * non_members >= 1


UNKNOWN = Estimate(nan, nan, nan)
