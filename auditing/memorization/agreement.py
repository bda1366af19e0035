"""How far two scores of the same samples agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.float64]


def pearson(scores: Floats) -> Floats:
    """Correlation of each pair of ``scores``, float64 [S, N]; NaN where one is the same for all samples. [S, S]."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.atleast_2d(np.corrcoef(scores))


def spearman(scores: Floats) -> Floats:
    """Rank correlation of each pair, ties at their mean rank: `pearson` of the ranks. float64 [S, S]."""
    return pearson(rankdata(scores, axis=1))


def cosine(scores: Floats) -> Floats:
    """Cosine of each pair. Scores that are all positive point the same way, so it is high for unrelated ones too."""
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = scores / np.linalg.norm(scores, axis=1, keepdims=True)
    product: Floats = unit @ unit.T
    return product


MEASURES: Mapping[str, Callable[[Floats], Floats]] = {"spearman": spearman, "pearson": pearson, "cosine": cosine}


def agreement(scores: Mapping[str, Floats]) -> dict[str, Sequence[Sequence[float]]]:
    """The agreement of each pair of ``scores`` by measure: a row and a column for each score, in their order."""
    rows = np.stack(list(scores.values()))
    return {name: measure(rows).tolist() for name, measure in MEASURES.items()}
