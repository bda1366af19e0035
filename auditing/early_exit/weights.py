"""Weights of exits: those under which their sum predicts best, with few that are not zero."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

Floats = NDArray[np.float64]


def fit(logits: Floats, labels: NDArray[np.int64], l1: float) -> Floats:
    """The w, float64 [exits], that minimises mean cross-entropy of sum_i w_i logits_i plus ``l1`` times sum_i |w_i|.

    The problem is convex; it is solved as a smooth one in the positive and negative parts of w, so that zeros are exact
    (the released code takes 500 steps of SGD).

    Args:
        logits: float64 [exits, N, classes].
        labels: int64 [N].
        l1: above 0, which keeps w finite where the samples can be told apart without error.
    """
    exits, rows = len(logits), np.arange(len(labels))

    def objective(parts: Floats) -> tuple[float, Floats]:
        log_p = log_softmax(np.tensordot(parts[:exits] - parts[exits:], logits, axes=1), axis=1)
        error = np.exp(log_p)
        error[rows, labels] -= 1
        slope = np.tensordot(logits, error, axes=2) / len(labels)
        return l1 * parts.sum() - log_p[rows, labels].mean(), np.concatenate([l1 + slope, l1 - slope])

    start = np.concatenate([np.full(exits, 1 / exits), np.zeros(exits)])
    options = {"maxiter": 2000, "maxfun": 20000, "ftol": 1e-14, "gtol": 1e-9}
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * (2 * exits), options=options)
    weights: Floats = found.x[:exits] - found.x[exits:]
    return weights


def fit_prefixes(logits: Floats, labels: NDArray[np.int64], l1: float) -> Floats:
    """In row j the weights of exits 0 to j, fitted for leaving there, 0 for later ones. float64 [exits, exits]."""
    rows = [fit(logits[: last + 1], labels, l1) for last in range(len(logits))]
    return np.stack([np.pad(row, (0, len(logits) - len(row))) for row in rows])


def equal(exits: int) -> Floats:
    """In row j the weights of a mean of exits 0 to j. float64 [exits, exits]."""
    return np.tril(np.ones((exits, exits))) / np.arange(1, exits + 1)[:, None]
