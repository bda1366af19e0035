"""The encoder of noise that is correlated over time: what it minimises, and where that is least.

MAFALDA-SGD (Bellet et al. 2026), after matrix factorization for one learner (Denisov et al. 2022, arXiv:2202.08312;
Choquette-Choo et al. 2023, arXiv:2306.08153).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import inf

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve, cholesky

Floats = NDArray[np.float64]
ITERATIONS = 300
FLAT = 1e-7  # of the objective over that of independent noise: a gradient below it ends the search
REMEMBERED = 10  # steps from which curvature is estimated
SUFFICIENT = 1e-4  # share of the descent that a line promises, which a step must achieve
SHORTER = 0.25


def workload_gram(spectrum: tuple[float, ...], rounds: int, local_steps: int) -> Floats:
    """float64 [T, T], G with tr(G C^-1 C^-T) the error that noise C^-1 Z leaves in all models after all T steps.

    A step's noise is in the node's own model after every later step of its round, and spreads by W in each mixing: with
    t(s) the round of step s and m(v) the mixings that models after step v have been through (a round's last step is
    followed by one), G[s, r] = sum over v >= s, r and over eigenvalues l of W of l^(2 m(v) - t(s) - t(r)).

    Args:
        spectrum: eigenvalues of a symmetric W; (1.0,) for noise that adds up and does not spread.
        rounds: how many.
        local_steps: of each.
    """
    steps = np.arange(rounds * local_steps)
    began = steps // local_steps
    mixed = began + (steps % local_steps == local_steps - 1)
    later, times = np.tril(np.ones((len(steps), len(steps)))), np.maximum(np.subtract.outer(mixed, began), 0)
    reached = (later * np.power(value, times) for value in spectrum)
    total: Floats = np.sum([each.T @ each for each in reached], axis=0)
    return total


@lru_cache(maxsize=16)
def encoder(spectrum: tuple[float, ...], rounds: int, local_steps: int, separation: int, bands: int) -> Floats:
    """float64 [T, T], lower triangular C: noise C^-1 Z, with Z independent, hides each step as well as Z itself.

    Its columns have norm 1, those ``separation`` steps apart are orthogonal, and C'C has ``bands`` diagonals to either
    side, its own included. So whatever a sample contributes, if it does once in as many steps, is hidden by T steps as
    well as by independent noise. Among such C this one leaves the least error, by `workload_gram`.
    """
    gram = workload_gram(spectrum, rounds, local_steps)
    found = _least(gram, separation, bands)
    return np.ascontiguousarray(cholesky(found[::-1, ::-1], lower=True)[::-1, ::-1].T)


def error_ratio(gram: Floats, lower: Floats) -> float:
    """The root mean squared error with the encoder ``lower``, over that of independent noise."""
    whitened = cho_solve(cho_factor(lower.T @ lower), gram)
    return float(np.sqrt(np.trace(whitened) / np.trace(gram)))


def _least(gram: Floats, separation: int, bands: int) -> Floats:
    """X = C'C of ones on the diagonal that minimises tr(G X^-1), a convex function, by L-BFGS from X = I.

    Steps are shortened until X is positive definite, outside of which the function is infinite; that is what line
    searches of libraries do not cope with.
    """
    rows, columns = np.tril_indices(len(gram), -1)
    apart = rows - columns
    free = (apart < bands) & (apart % separation != 0)
    rows, columns = rows[free], columns[free]
    scale = np.trace(gram)

    def filled(values: Floats) -> Floats:
        found = np.eye(len(gram))
        found[rows, columns] = found[columns, rows] = values
        return found

    def cost(values: Floats) -> tuple[float, Floats]:
        try:
            factor = cho_factor(filled(values), lower=True)
        except LinAlgError:
            return inf, values
        half = cho_solve(factor, gram)
        return float(np.trace(half)) / scale, -2 * cho_solve(factor, half.T)[rows, columns] / scale

    return filled(_minimised(cost, np.zeros(len(rows))))


def _minimised(cost: Callable[[Floats], tuple[float, Floats]], start: Floats) -> Floats:
    """Where ``cost``, which gives value and gradient, is least; L-BFGS (Nocedal & Wright 2006, algorithm 7.4)."""
    values, (lowest, gradient) = start, cost(start)
    kept: list[tuple[Floats, Floats]] = []
    for _ in range(ITERATIONS):
        if np.abs(gradient).max(initial=0.0) < FLAT:
            break
        direction, length = _direction(gradient, kept), 1.0
        while True:
            tried = values - length * direction
            value, slope = cost(tried)
            if value <= lowest - SUFFICIENT * length * float(gradient @ direction):
                break
            length *= SHORTER
            if length < np.finfo(np.float64).eps:
                return values  # as low as float64 can tell
        if float((tried - values) @ (slope - gradient)) > 0:
            kept = [*kept, (tried - values, slope - gradient)][-REMEMBERED:]
        values, lowest, gradient = tried, value, slope
    return values


def _direction(gradient: Floats, kept: Sequence[tuple[Floats, Floats]]) -> Floats:
    """The gradient by the estimated inverse of the second derivatives."""
    found, shares = gradient.copy(), []
    for step, change in reversed(kept):
        shares.append(float(step @ found) / float(step @ change))
        found -= shares[-1] * change
    if kept:
        step, change = kept[-1]
        found *= float(step @ change) / float(change @ change)
    for (step, change), share in zip(kept, reversed(shares), strict=True):
        found += (share - float(change @ found) / float(step @ change)) * step
    return found
