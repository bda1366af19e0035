"""Which of the nodes at hand to ask together: those between which attacks transfer least, or others to compare with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import wrong

Floats = NDArray[np.float64]
Members = tuple[int, ...]
MOST = 200_000  # ensembles that are compared one by one


def least_transferable(candidates: Sequence[int], size: int, metric: Floats, clean: Floats, slack: float) -> Members:
    """The ``size`` candidates with the least mean transferability between two of them; of equals the first.

    Args:
        candidates: nodes.
        size: of the ensemble.
        metric: float64 [nodes, nodes].
        clean: float64 [nodes], accuracies.
        slack: members are at most this much less accurate than the best candidate, or the most accurate ones that
            there are.

    Raises:
        InputError: there are too many ensembles to compare.
    """
    fit = _accurate_enough(candidates, size, clean, slack)
    if comb(len(fit), size) > MOST:
        what = f"{size} of {len(fit)} candidates can be chosen in {comb(len(fit), size):,} ways."
        raise wrong("size", what, "Ask for fewer, or set hops lower.")
    return min(combinations(fit, size), key=lambda members: mean_between(metric, members))


def mean_between(metric: Floats, members: Members) -> float:
    """The mean of ``metric`` over ordered pairs of different members; 0 of a single one."""
    inner = metric[np.ix_(members, members)]
    pairs = len(members) * (len(members) - 1)
    return float((inner.sum() - np.trace(inner)) / pairs) if pairs else 0.0


def best_clean(candidates: Sequence[int], size: int, clean: Floats) -> Members:
    """The ``size`` most accurate candidates, in order of node; of equals the first."""
    return tuple(sorted(sorted(candidates, key=lambda node: -clean[node])[:size]))


def at_random(candidates: Sequence[int], size: int, number: int, rng: np.random.Generator) -> Iterator[Members]:
    """``number`` times ``size`` candidates."""
    for _ in range(number):
        yield tuple(sorted(int(node) for node in rng.choice(candidates, size, replace=False)))


def _accurate_enough(candidates: Sequence[int], size: int, clean: Floats, slack: float) -> list[int]:
    needed = max(clean[node] for node in candidates) - slack
    fit = [node for node in candidates if clean[node] >= needed - 1e-12]
    return fit if len(fit) >= size else list(best_clean(candidates, size, clean))
