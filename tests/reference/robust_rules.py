"""Robust mixing rules written down as in their papers, with numpy and loops, for one node among others.

``x`` is float [n, d], ``own`` the node's row in it, ``w`` float [n] its row of W.
"""

from math import exp

import numpy as np


def clip(z, radius):
    norm = np.sqrt((z * z).sum())
    return z if norm <= radius else z * (radius / norm)


def clipped(x, own, w, radius):
    return x[own] + sum(w[j] * clip(x[j] - x[own], radius) for j in range(len(x)))


def by_distance(x, own):
    """All nodes, the nearest first, of equally near ones that with the smaller number; the node itself before all."""
    return sorted(range(len(x)), key=lambda j: (j != own, np.sqrt(((x[j] - x[own]) ** 2).sum()), j))


def practical_radius(x, own, w, delta):
    total, weight = 0.0, 0.0
    for j in by_distance(x, own):
        weight += w[j]
        if weight > 1 - delta + 1e-12:
            break
        total += w[j] * ((x[j] - x[own]) ** 2).sum()
    return np.sqrt(total / delta)


def cs_plus(x, own, w, b):
    """As the paper's code: the first cumulated weight that reaches the target says which distance is the radius."""
    order = by_distance(x, own)
    away = [np.sqrt(((x[j] - x[own]) ** 2).sum()) for j in order]
    cumulated, target = np.cumsum([w[j] for j in order]), w.sum() - 2 * b
    k = next(k for k in range(len(order)) if cumulated[k] >= target - 1e-12)
    if abs(cumulated[k] - target) > 1e-12:
        k -= 1
    return clipped(x, own, w, away[k] if k >= 0 else 0.0)


def gts(x, own, w, b):
    left, total = 1 - b, x[own].copy()
    for j in by_distance(x, own):
        weight = min(w[j], left)
        total = total + weight * (x[j] - x[own])
        left -= weight
    return total


def nna(x, own, f):
    return x[by_distance(x, own)[: len(x) - f]].mean(0)


def trimmed_mean(x, own, f):
    heard = np.sort(np.delete(x, own, axis=0), axis=0)
    return np.vstack([x[own], heard[f : len(heard) - f]]).mean(0)


def median(x):
    return np.median(x, axis=0)


def ios(x, own, w, f):
    kept = list(range(len(x)))
    for _ in range(f):
        centre = sum(w[j] * x[j] for j in kept) / sum(w[j] for j in kept)
        away = {j: np.sqrt(((x[j] - centre) ** 2).sum()) for j in kept if j != own}
        kept.remove(max(away, key=lambda j: (away[j], j)))
    return sum(w[j] * x[j] for j in kept) / sum(w[j] for j in kept)


def balance(x, own, alpha, gamma, kappa, progress):
    radius = gamma * exp(-kappa * progress) * np.sqrt((x[own] ** 2).sum())
    near = [j for j in range(len(x)) if j != own and np.sqrt(((x[j] - x[own]) ** 2).sum()) <= radius]
    return alpha * x[own] + (1 - alpha) * x[near].mean(0) if near else x[own]


def geometric_median(x, own, steps, nu):
    centre = x[own]
    for _ in range(steps):
        beta = np.array([1 / max(nu, np.sqrt(((each - centre) ** 2).sum())) for each in x])
        centre = (beta[:, None] * x).sum(0) / beta.sum()
    return centre


def krum(x, f, keep=1):
    scores = []
    for i in range(len(x)):
        squares = sorted(((x[i] - x[j]) ** 2).sum() for j in range(len(x)) if j != i)
        scores.append(sum(squares[: len(x) - f - 2]))
    return x[sorted(range(len(x)), key=lambda i: (scores[i], i))[:keep]].mean(0)
