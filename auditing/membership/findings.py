"""What an audit finds: how well each attack does from each view, and the strongest one victim by victim."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditing.attacks.membership import ATTACKS, Attack
from auditing.candidates import Candidates
from auditing.membership.leakage import Leakage, leakage, leakage_matrix, victim_aucs
from auditing.membership.scoring import ReferenceSignals, Scores, scores_of
from auditing.metrics import Resamples
from auditing.views.view import Observed, View

Floats = NDArray[np.float64]
CURVE_POINTS = 60


@dataclass(frozen=True)
class Judged:
    """Everything that was measured.

    Attributes:
        candidates: whose membership is asked, N.
        observed: what attackers hold.
        signals: float64 [models, N] by name.
        population: float64 [models, P] by name, of samples that no node trained on.
        population_labels: int64 [P] by signal, their classes.
        references: what replicas have, by signal; empty where there are none.
        attacks: that can be carried out, by name.
    """

    candidates: Candidates
    observed: Observed
    signals: Mapping[str, Floats]
    population: Mapping[str, Floats]
    population_labels: Mapping[str, NDArray[np.int64]]
    references: Mapping[str, ReferenceSignals] = field(default_factory=dict)
    attacks: Mapping[str, Attack] = field(default_factory=lambda: ATTACKS)

    def scores(self, name: str, views: Iterable[View]) -> Scores:
        """Those of the attack ``name``, "signal, attack", for everything that is seen in ``views``."""
        signal, attack = name.split(", ")
        population = self.population[signal], self.population_labels[signal]
        seen = dict.fromkeys(pair.observation for view in views for pair in view.pairs)
        references = self.references.get(signal)
        return scores_of(self.attacks[attack], self.signals[signal], self.candidates, *population, seen, references)


def findings(judged: Judged, names: Sequence[str], resamples: Resamples) -> dict[str, Any]:
    """For ``result.json``: of each attack in ``names`` and view the leakage, and the strongest attack in detail.

    The strongest is the one with the highest AUC from the first view.
    """
    views = judged.observed.views
    leaks = {name: _leaks(judged, name, views, resamples) for name in names}
    strongest = max(leaks, key=lambda name: leaks[name][0].estimates["auc"].value)
    member = judged.candidates.member
    grid = np.geomspace(1 / (~member).sum(), 1, CURVE_POINTS)
    return {
        "members": int(member.sum()),
        "non_members": int((~member).sum()),
        "strongest": strongest,
        "views": {view.name: view.holder for view in views},
        "fpr": grid.tolist(),
        "attacks": {name: {leak.view.name: _plain(leak, grid) for leak in found} for name, found in leaks.items()},
        **_details(judged, strongest, resamples),
    }


def _details(judged: Judged, name: str, resamples: Resamples) -> dict[str, Any]:
    """From node to node by final models, by victim from each view, and by round."""
    candidates, views, nodes = judged.candidates, judged.observed.views, judged.observed.record.nodes
    scores = judged.scores(name, views)
    final = [view for view in views if view.distance is not None]
    by_round = {
        view: [{"round": round, **asdict(_leaks(judged, name, [each], resamples)[0].estimates["auc"])}
               for round, each in rounds.items()]
        for view, rounds in judged.observed.by_round.items()
    }  # fmt: skip
    return {
        "matrix": _known(leakage_matrix(scores, candidates, final, nodes)),
        "victims": {view.name: _known(victim_aucs(scores, candidates, view, nodes)) for view in views},
        "by_round": by_round,
    }


def _leaks(judged: Judged, name: str, views: Sequence[View], resamples: Resamples) -> list[Leakage]:
    scores = judged.scores(name, views)
    return [leakage(scores, judged.candidates, view, resamples) for view in views]


def _plain(leak: Leakage, grid: Floats) -> dict[str, Any]:
    """For JSON, in which there is no NaN: what is not known is null. ``tpr`` is the ROC curve at the FPRs ``grid``."""
    values = {name: asdict(estimate) for name, estimate in leak.estimates.items()}
    known = {name: value if isfinite(value["value"]) else None for name, value in values.items()}
    return {"distance": leak.view.distance, **known, "tpr": [leak.roc.tpr_at(fpr) for fpr in grid]}


def _known(values: Floats) -> list[Any]:
    """Nested lists with null for NaN."""
    found: list[Any] = np.where(np.isnan(values), np.array(None), values.astype(object)).tolist()
    return found
