"""Leaving early: a sample takes the first exit at which the weighted logits are sure enough."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

Floats = NDArray[np.float64]
# From "every sample leaves at the first exit" to "only the surest leave early".
THRESHOLDS = np.concatenate([np.linspace(0, 0.9, 37), 1 - np.geomspace(0.1, 1e-6, 16)[1:]])


def combined(weights: Floats, logits: Floats) -> Floats:
    """The sum of ``logits`` at each exit j, weighted by row j of ``weights``. float64 [exits, N, classes]."""
    found: Floats = np.tensordot(weights, logits, axes=1)
    return found


def leave(logits: Floats, threshold: float) -> NDArray[np.int64]:
    """The first exit at which the largest probability is at least ``threshold``, else the last. int64 [N].

    Args:
        logits: float64 [exits, N, classes], as `combined`.
        threshold: of probability.
    """
    sure = softmax(logits, axis=2).max(axis=2) >= threshold
    sure[-1] = True
    first: NDArray[np.int64] = sure.argmax(axis=0)
    return first


def curve(logits: Floats, labels: NDArray[np.int64], passed: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Mean cost and accuracy, float64 [thresholds + 1] each, over all samples, the wrong ones too.

    Args:
        logits: float64 [exits, N, classes], as `combined`.
        labels: int64 [N].
        passed: int64 [exits], the cost of a sample that leaves there.

    The last point is that of samples that all go to the last exit.
    """
    rows, points = np.arange(len(labels)), []
    for threshold in (*THRESHOLDS, np.inf):
        exits = leave(logits, threshold)
        right = logits[exits, rows].argmax(axis=1) == labels
        points.append((passed[exits].mean(), right.mean()))
    cost, accuracy = np.array(points).T
    return cost, accuracy
