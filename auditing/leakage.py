"""Leakage: how well an attack does from one view, and between each pair of nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditing.candidates import Candidates
from auditing.metrics import UNKNOWN, Estimate, Ranking, Resamples, Roc, estimates, resolvable
from auditing.views import View

Floats = NDArray[np.float64]
LOW_RATES = (0.01, 0.001)


@dataclass(frozen=True)
class Leakage:
    """What an attack learns from a view: the candidates of all its pairs judged by one threshold.

    Attributes:
        view: the view.
        roc: the curve over all pairs.
        estimates: "auc", "balanced_accuracy", and "tpr_at_0.01" and "tpr_at_0.001" (FPR).
    """

    view: View
    roc: Roc
    estimates: Mapping[str, Estimate]


def leakage(scores: Floats, candidates: Candidates, view: View, resamples: Resamples) -> Leakage:
    """The leakage through ``view`` under an attack with ``scores``, float64 [models, candidates]."""
    rows = [np.flatnonzero(candidates.node == victim) for victim, _ in view.pairs]
    judged = np.concatenate([scores[model, row] for row, (_, model) in zip(rows, view.pairs, strict=True)])
    asked = np.concatenate(rows)
    ranking = Ranking(judged, candidates.member[asked])
    found = estimates(ranking.roc(), resamples.rocs(ranking, asked), _statistics)
    # Seen by many observers, a non-member is still one.
    non_members = len(np.unique(asked[~candidates.member[asked]]))
    unknown = {f"tpr_at_{rate}": UNKNOWN for rate in LOW_RATES if not resolvable(rate, non_members)}
    return Leakage(view, ranking.roc(), {**found, **unknown})


def _statistics(roc: Roc) -> dict[str, float]:
    low = {f"tpr_at_{rate}": roc.tpr_at(rate) for rate in LOW_RATES}
    return {"auc": roc.auc, "balanced_accuracy": roc.balanced_accuracy, **low}


def leakage_matrix(scores: Floats, candidates: Candidates) -> Floats:
    """AUC, float64 [victim, observer]: candidates of node ``victim`` judged by the model of node ``observer``."""
    nodes = np.unique(candidates.node)
    of = [candidates.node == victim for victim in nodes]
    return np.array(
        [[Ranking(scores[u, row], candidates.member[row]).roc().auc for u in nodes] for row in of], dtype=np.float64
    )
