"""Samples that belong together, such as those of one patient: shares that never cut through them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def grouped_share(
    groups: NDArray[Any] | None, rows: Indices, fraction: float, rng: np.random.Generator
) -> tuple[Indices, Indices]:
    """Draw about a share of ``rows``, by whole groups.

    Groups are taken in a random order for as long as that brings the number of rows closer to ``fraction`` of them: at
    least one where there is a fraction, and never all.

    Args:
        groups: [N], to which group each sample of the data set belongs; None: each is its own.
        rows: int64 [M], the samples to draw from.
        fraction: from 0 to 1, of rows and not of groups.
        rng: decides the order.

    Returns:
        The rows that were taken and those that are left, both ascending. Nothing is taken of a single group.
    """
    members = by_group(groups, rows)
    sizes = np.array([len(part) for part in members], dtype=np.int64)
    order = rng.permutation(len(members))
    reached = np.concatenate([[0], np.cumsum(sizes[order])])
    least, most = (1 if fraction > 0 else 0), max(0, len(members) - 1)
    distance = np.abs(reached[: most + 1] - fraction * len(rows))
    count = min(least, most) + int(np.argmin(distance[min(least, most) :]))
    chosen = set(order[:count].tolist())
    taken = [part for number, part in enumerate(members) if number in chosen]
    left = [part for number, part in enumerate(members) if number not in chosen]
    return _joined(taken), _joined(left)


def by_group(groups: NDArray[Any] | None, rows: Indices) -> list[Indices]:
    """The ascending ``rows`` of each group that occurs among them, in the order of the groups."""
    rows = np.sort(rows)
    if groups is None:
        return list(rows[:, None])
    _, numbers = np.unique(groups[rows], return_inverse=True)
    order = np.argsort(numbers, kind="stable")
    return np.split(rows[order], np.cumsum(np.bincount(numbers))[:-1]) if len(rows) else []


def _joined(parts: list[Indices]) -> Indices:
    return np.sort(np.concatenate([np.empty(0, dtype=np.int64), *parts]))
