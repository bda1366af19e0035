"""How well scores tell members from non-members: ROC curve, AUC, true-positive rate at a low false-positive rate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import nan

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]
Value = Floats | np.float64  # of each of several curves, float64 [...], or of one
CONFIDENCE = 0.95
AT_ONCE = 2**15  # weights, of resamples whose curves are made together: more fall out of the cache


@dataclass(frozen=True)
class Roc:
    """Rates at all thresholds, from none called a member to all: ``fpr`` and ``tpr``, float64 [..., thresholds + 1].

    Dimensions in front are of several curves that share their thresholds, each of which has its own value of what is
    read off.
    """

    fpr: Floats
    tpr: Floats

    @property
    def auc(self) -> Value:
        """Probability that a member scores above a non-member, ties counted half."""
        area: Value = np.trapezoid(self.tpr, self.fpr)
        return area

    @property
    def balanced_accuracy(self) -> Value:
        """The balanced accuracy at the best threshold, chosen in hindsight: max (TPR + 1 - FPR) / 2."""
        best: Value = (self.tpr + 1 - self.fpr).max(axis=-1)
        return best / 2

    def tpr_at(self, fpr: float) -> Value:
        """The highest TPR at a threshold with at most this FPR; between thresholds nothing is interpolated."""
        last = np.count_nonzero(self.fpr <= fpr, axis=-1, keepdims=True) - 1  # rates only grow
        found: Value = np.take_along_axis(self.tpr, last, axis=-1)[..., 0]
        return found

    def tprs_at(self, fprs: Floats) -> Floats:
        """`tpr_at` each of ``fprs``, float64 [F], of one curve; likewise."""
        found: Floats = self.tpr[np.searchsorted(self.fpr, fprs, side="right") - 1]
        return found


def aucs(scores: Floats, member: NDArray[np.bool_]) -> Floats:
    """The AUC of each of many rankings of N candidates, float64 [...], without their curves.

    Args:
        scores: float64 [..., N], high for members.
        member: bool [..., N], broadcast to the scores; there must be members and non-members in each.
    """
    members = member.sum(axis=-1)
    beaten = np.where(member, rankdata(scores, axis=-1), 0.0).sum(axis=-1) - members * (members + 1) / 2
    found: Floats = beaten / (members * (member.shape[-1] - members))
    return found


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
        self._member = member[self._order].astype(np.float64)
        ends = np.diff(scores[self._order], append=np.nan) != 0  # equal scores share one threshold
        self._ends = slice(None) if ends.all() else np.flatnonzero(ends)

    def roc(self, weights: NDArray[np.int64] | None = None, of: NDArray[np.int64] | None = None) -> Roc:
        """The curve, or curves.

        Args:
            weights: how often each of K candidates is counted, int64 [..., K]; default once.
            of: which of them each score is of, int64 [N]; by default one after the other.
        """
        rows = self._order if of is None else of[self._order]
        counts = np.ones(len(rows)) if weights is None else weights.take(rows, axis=-1).astype(np.float64)
        return Roc(self._rates(counts * (1 - self._member)), self._rates(counts * self._member))

    def _rates(self, counts: Floats) -> Floats:
        """The share of ``counts`` (float64 [..., N]) down to each threshold, and 0 above the first."""
        sums = torch.from_numpy(counts).cumsum(-1).numpy()  # numpy takes five times as long
        at_ends = sums[..., self._ends]
        rates = np.zeros((*at_ends.shape[:-1], at_ends.shape[-1] + 1))
        np.divide(at_ends, sums[..., -1:], out=rates[..., 1:])
        return rates


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
        """Curves of ``ranking``, whose scores are those of ``candidates`` (int64 [M], one may occur many times).

        Several resamples' at a time, float64 [resamples, thresholds + 1].
        """
        size = max(1, AT_ONCE // len(candidates))
        for start in range(0, len(self.counts), size):
            yield ranking.roc(self.counts[start : start + size], candidates)


def estimates(
    roc: Roc, resampled: Iterable[Roc], statistics: Callable[[Roc], Mapping[str, Value]]
) -> dict[str, Estimate]:
    """The ``statistics`` of a curve, each with its percentile interval over the ``resampled`` curves."""
    values = np.concatenate([np.stack([*statistics(each).values()], axis=-1) for each in resampled])
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    found = zip(statistics(roc).items(), low, high, strict=True)
    return {name: Estimate(float(value), float(a), float(b)) for (name, value), a, b in found}


def resolvable(fpr: float, non_members: int) -> bool:
    """Whether so many different non-members can show an FPR: below 1 in their number, it is that of none at all."""
    return fpr * non_members >= 1


UNKNOWN = Estimate(nan, nan, nan)
