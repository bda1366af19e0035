"""What exits can do at one node, and what that comes to over nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auditing.early_exit import cascade, weights
from auditing.early_exit.ledger import Costs

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
BUDGETS = (0.1, 0.25, 0.5, 0.75, 1.0)  # of the cost of running everything
WISE, EQUAL, SINGLE = "WISE", "equal weights", "best single exit"


@dataclass(frozen=True)
class Measured:
    """What one node's exits say.

    Attributes:
        validation: float64 [exits, V, classes], logits of the samples that weights are fitted on.
        validation_labels: int64 [V].
        test: float64 [exits, T, classes].
        test_labels: int64 [T].
    """

    validation: Floats
    validation_labels: Integers
    test: Floats
    test_labels: Integers


def of_node(measured: Measured, costs: Costs, l1: float) -> dict[str, Floats]:
    """Of one node, named arrays: all accuracies are on the test set, all choices are made on validation samples.

    ``exits`` [exits] of single exits. Of WISE and of equal weights: ``NAME/prefix`` [exits] when all samples leave at
    this exit; ``NAME/cost`` and ``NAME/accuracy`` [points], the curve of leaving early; ``NAME/at`` [budgets], the
    accuracy at a mean cost of this share of the whole. ``best single exit/at`` [budgets] of the exit most accurate on
    validation samples among those that cost no more when run alone. Both are NaN where the budget allows none.
    ``weights`` [exits] at the last exit; ``weightless`` [exits], 1 where no exit so far has a weight, else 0.
    """
    exits, whole = len(measured.test), costs.passed[-1]
    fitted = weights.fit_prefixes(measured.validation, measured.validation_labels, l1)
    singles = _accuracy(measured.test, measured.test_labels)
    found = {"exits": singles, "weights": fitted[-1], "weightless": (fitted == 0).all(axis=1).astype(np.float64)}
    for name, rows in ((WISE, fitted), (EQUAL, weights.equal(exits))):
        logits = cascade.combined(rows, measured.test)
        cost, accuracy = cascade.curve(logits, measured.test_labels, costs.passed)
        found |= {f"{name}/prefix": _accuracy(logits, measured.test_labels)}
        found |= {f"{name}/cost": cost, f"{name}/accuracy": accuracy}
        found[f"{name}/at"] = np.array([at(cost, accuracy, share * whole) for share in BUDGETS])
    ranks = _accuracy(measured.validation, measured.validation_labels)
    found[f"{SINGLE}/at"] = np.array([_single(singles, ranks, costs.alone, share * whole) for share in BUDGETS])
    return found


def at(cost: Floats, accuracy: Floats, budget: float) -> float:
    """The accuracy of the costliest point of a curve within ``budget``; NaN where there is none."""
    within = np.flatnonzero(cost <= budget)
    return float(accuracy[within[np.argmax(cost[within])]]) if len(within) else np.nan


def over_nodes(found: Sequence[Mapping[str, Floats]]) -> dict[str, dict[str, list[float | None]]]:
    """For JSON: of each array the mean, least and largest over nodes, place by place; null where it is not known."""
    return {name: dict(_spread(np.stack([each[name] for each in found]))) for name in found[0]}


def _spread(rows: Floats) -> Iterator[tuple[str, list[float | None]]]:
    for name, of in (("mean", np.mean), ("least", np.min), ("largest", np.max)):
        yield name, [float(value) if value == value else None for value in of(rows, axis=0)]


def _accuracy(logits: Floats, labels: Integers) -> Floats:
    found: Floats = (logits.argmax(axis=2) == labels).mean(axis=1)
    return found


def _single(accuracies: Floats, ranks: Floats, alone: Integers, budget: float) -> float:
    """The accuracy of the exit of best rank within the budget, the cheapest of equals; NaN where there is none."""
    within = [place for place in np.argsort(alone, kind="stable") if alone[place] <= budget]
    return float(accuracies[max(within, key=lambda place: ranks[place])]) if within else np.nan
