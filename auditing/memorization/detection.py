"""Detection: how well a score of memorization finds samples with which something is known to be wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditing.metrics import Estimate, Ranking, Resamples, Roc, Value, estimates

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Detection:
    """AUROC of a score: the probability that a sample to be found has a higher one than a clean one.

    Attributes:
        pooled: all nodes' samples in one ranking.
        nodes: float64 [nodes], within each node; NaN where none are to be found, or all.
    """

    pooled: Estimate
    nodes: Floats


def detection(score: Floats, wrong: Bools, node: NDArray[np.int64], resamples: Resamples) -> Detection:
    """How well ``score`` (float64 [N], high for memorized) tells what is ``wrong`` (bool [N]) from what is not.

    Args:
        score: of the samples.
        wrong: which are to be found: some and not all.
        node: int64 [N], who trains on each.
        resamples: of the same samples.
    """
    ranking = Ranking(score, wrong)
    pooled = estimates(ranking.roc(), resamples.rocs(ranking, np.arange(len(score))), _statistics)
    return Detection(pooled["auroc"], np.array(list(_by_node(score, wrong, node))))


def _by_node(score: Floats, wrong: Bools, node: NDArray[np.int64]) -> Iterator[float]:
    for each in range(int(node.max()) + 1):
        own = node == each
        both = 0 < wrong[own].sum() < own.sum()
        yield float(Ranking(score[own], wrong[own]).roc().auc) if both else np.nan


def _statistics(roc: Roc) -> dict[str, Value]:
    return {"auroc": roc.auc}
