"""Leakage: how well an attack does from one view, and between each pair of nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from auditing.metrics import UNKNOWN, Estimate, Ranking, Resamples, Roc, Value, estimates, resolvable
from auditing.questions import Questions
from auditing.views.position import Observation, Position

Floats = NDArray[np.float64]
Scores = Mapping[
    Observation, Floats
]  # by what attackers judge by, how sure they are of each question's yes, float64 [Q]
LOW_RATES = (0.01, 0.001)


@dataclass(frozen=True)
class Leakage:
    """What an attack learns from a position: the questions about all its pairs judged by one threshold.

    Attributes:
        position: where the attackers stand.
        roc: the curve over all pairs.
        estimates: "auc", "balanced_accuracy", and "tpr_at_0.01" and "tpr_at_0.001" (FPR).
    """

    position: Position
    roc: Roc
    estimates: Mapping[str, Estimate]


def leakage(scores: Scores, asked: Questions, position: Position, resamples: Resamples) -> Leakage:
    """The leakage through ``position`` under an attack with ``scores``; observers who see the same count once."""
    seen = list(dict.fromkeys((victim, observation) for victim, _, observation in position.pairs))
    rows = [np.flatnonzero(asked.node == victim) for victim, _ in seen]
    judged = np.concatenate([scores[each][row] for row, (_, each) in zip(rows, seen, strict=True)])
    all_rows = np.concatenate(rows)
    ranking = Ranking(judged, asked.member[all_rows])
    found = estimates(ranking.roc(), resamples.rocs(ranking, all_rows), _statistics)
    # Seen by many observers, a non-member is still one.
    non_members = len(np.unique(all_rows[~asked.member[all_rows]]))
    unknown = {f"tpr_at_{rate}": UNKNOWN for rate in LOW_RATES if not resolvable(rate, non_members)}
    return Leakage(position, ranking.roc(), {**found, **unknown})


def _statistics(roc: Roc) -> dict[str, Value]:
    low = {f"tpr_at_{rate}": roc.tpr_at(rate) for rate in LOW_RATES}
    return {"auc": roc.auc, "balanced_accuracy": roc.balanced_accuracy, **low}


def victim_aucs(scores: Scores, asked: Questions, position: Position, nodes: int) -> Floats:
    """AUC, float64 [nodes]: of each victim alone through ``position``; NaN of a node that is none of its victims."""
    found = np.full(nodes, np.nan)
    for victim in {victim for victim, _, _ in position.pairs}:
        seen = dict.fromkeys(observation for v, _, observation in position.pairs if v == victim)
        row = asked.node == victim
        judged = np.concatenate([scores[each][row] for each in seen])
        found[victim] = Ranking(judged, np.tile(asked.member[row], len(seen))).roc().auc
    return found


def leakage_matrix(scores: Scores, asked: Questions, positions: Sequence[Position], nodes: int) -> Floats:
    """AUC, float64 [victim, observer], of the pairs of ``positions``; NaN where there is no such pair."""
    matrix = np.full((nodes, nodes), np.nan)
    for victim, observer, observation in chain.from_iterable(position.pairs for position in positions):
        if observer is not None:
            row = asked.node == victim
            matrix[victim, observer] = Ranking(scores[observation][row], asked.member[row]).roc().auc
    return matrix
