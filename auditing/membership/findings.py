"""What an audit finds: how well each attack does from each view, and the strongest one victim by victim."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from auditing.attacks.attack import Attack
from auditing.attacks.evidence import Evidence
from auditing.candidates import Candidates
from auditing.membership.leakage import Leakage, Scores, leakage, leakage_matrix, victim_aucs
from auditing.membership.measurement import MeasuredSignals
from auditing.membership.references import ReferenceSignals
from auditing.metrics import Resamples
from auditing.threads import one_a_core
from auditing.views.observe import Observed
from auditing.views.position import Position, SignalSum

Floats = NDArray[np.float64]
CURVE_POINTS = 60


class SignalAttack(NamedTuple):
    """An attack that judges by a signal, both by name."""

    signal: str
    attack: str

    def __str__(self) -> str:
        return f"{self.signal}, {self.attack}"


@dataclass(frozen=True)
class Judged:
    """Everything that was measured.

    Attributes:
        candidates: whose membership is asked, N.
        labels: int64 [N], their classes; 0 of all where there are none.
        observed: what attackers hold.
        measured: signals of the candidates, and of a population that no node trained on.
        population_labels: int64 [P] by signal, the classes of the population.
        attacks: that can be carried out, by name.
        references: what replicas have, by signal; empty where there are none.
        features: float64 [N, d] and [P, d] by signal, public features of candidates and of the population; empty where
            no attack looks at them.
    """

    candidates: Candidates
    labels: NDArray[np.int64]
    observed: Observed
    measured: MeasuredSignals
    population_labels: Mapping[str, NDArray[np.int64]]
    attacks: Mapping[str, Attack]
    references: Mapping[str, ReferenceSignals] = field(default_factory=dict)
    features: Mapping[str, tuple[Floats, Floats]] = field(default_factory=dict)

    def scores(self, by: SignalAttack, positions: Iterable[Position]) -> Scores:
        """How sure an attacker is, question by question, by what is seen from ``positions``; NaN where none is asked.

        Of a group it is the mean over its candidates.
        """
        seen = dict.fromkeys(pair.observation for position in positions for pair in position.pairs)
        parts = dict.fromkeys(part for observation in seen for part in observation.parts)
        known = {part: self._judged(by, part) for part in parts}
        sums = {each: np.sum([known[part] for part in each.parts], axis=0) for each in seen}
        return {each: self.candidates.questions.scores(total) for each, total in sums.items()}

    def _judged(self, by: SignalAttack, part: SignalSum) -> Floats:
        """How sure an attacker is of each candidate by one sum of signals, float64 [N]; NaN where it asks of none."""
        signal = part.signal(self.measured.candidates[by.signal])
        asked, score = ~np.isnan(signal), np.full(len(signal), np.nan)
        references, group = self.references.get(by.signal), self.candidates.questions.of_candidate
        evidence = Evidence(
            signal=signal[asked],
            labels=self.labels[asked],
            population=part.signal(self.measured.population[by.signal]),
            population_labels=self.population_labels[by.signal],
            node=self.candidates.node[asked],
            group=None if group is None else group[asked],
            **(references.evidence(part, asked) if references else {}),
            **self._features(by.signal, asked),
        )
        score[asked] = self.attacks[by.attack].judge(evidence)
        return score

    def _features(self, signal: str, asked: NDArray[np.bool_]) -> Mapping[str, Any]:
        """The fields of `Evidence` that are about features."""
        if signal not in self.features:
            return {}
        own, usual = self.features[signal]
        return {"features": own[asked], "population_features": usual}


def findings(judged: Judged, attacks: Sequence[SignalAttack], resamples: Resamples) -> dict[str, Any]:
    """For ``result.json``: the leakage by each of ``attacks`` from each position, and the strongest attack in detail.

    The strongest is the one with the highest AUC from the first position.
    """
    positions = judged.observed.positions
    with one_a_core() as pool:  # resamples take most of the time, and most of that is spent outside the interpreter
        leaks = {by: _leaks(judged, by, positions, resamples, pool) for by in attacks}
        strongest = max(leaks, key=lambda by: leaks[by][0].estimates["auc"].value)
        details = _details(judged, strongest, resamples, pool)
    member = judged.candidates.questions.member
    grid = np.geomspace(1 / (~member).sum(), 1, CURVE_POINTS)
    return {
        "members": int(member.sum()),
        "non_members": int((~member).sum()),
        "strongest": str(strongest),
        "views": {position.name: position.holder for position in positions},
        "fpr": grid.tolist(),
        "attacks": {str(by): {leak.position.name: _plain(leak, grid) for leak in found} for by, found in leaks.items()},
        **details,
    }


def _details(judged: Judged, by: SignalAttack, resamples: Resamples, pool: Executor) -> dict[str, Any]:
    """From node to node by final models, by victim from each position, and by round."""
    asked, positions, nodes = judged.candidates.questions, judged.observed.positions, judged.observed.record.nodes
    scores = judged.scores(by, positions)
    final = [position for position in positions if position.distance is not None]
    by_round = {
        view: [{"round": round, **asdict(_leaks(judged, by, [each], resamples, pool)[0].estimates["auc"])}
               for round, each in rounds.items()]
        for view, rounds in judged.observed.by_round.items()
    }  # fmt: skip
    return {
        "matrix": _known(leakage_matrix(scores, asked, final, nodes)),
        "victims": {each.name: _known(victim_aucs(scores, asked, each, nodes)) for each in positions},
        "by_round": by_round,
    }


def _leaks(
    judged: Judged, by: SignalAttack, positions: Sequence[Position], resamples: Resamples, pool: Executor
) -> list[Leakage]:
    scores = judged.scores(by, positions)
    asked = judged.candidates.questions
    return list(pool.map(lambda position: leakage(scores, asked, position, resamples), positions))


def _plain(leak: Leakage, grid: Floats) -> dict[str, Any]:
    """For JSON, in which there is no NaN: what is not known is null. ``tpr`` is the ROC curve at the FPRs ``grid``."""
    values = {name: asdict(estimate) for name, estimate in leak.estimates.items()}
    known = {name: value if isfinite(value["value"]) else None for name, value in values.items()}
    return {"distance": leak.position.distance, **known, "tpr": leak.roc.tprs_at(grid).tolist()}


def _known(values: Floats) -> list[Any]:
    """Nested lists with null for NaN."""
    found: list[Any] = np.where(np.isnan(values), np.array(None), values.astype(object)).tolist()
    return found
