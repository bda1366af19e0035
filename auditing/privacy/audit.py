"""The audit that puts a promise next to what an attack achieves: claimed epsilons beside empirical lower bounds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt

from auditing.attackers import attackers_in
from auditing.attacks.signal import SIGNALS, signals_named
from auditing.candidates import Candidates
from auditing.fitting import unfit
from auditing.privacy.canary_scores import NO_CANARIES, canaries_of, has_canaries, one_sided, scores_of
from auditing.privacy.empirical_epsilon import LowerBound, guessed_right, one_run, one_run_epsilon
from auditing.privacy.gaussian_bounds import independent_scores, one_run_gaussian, one_run_sampled
from auditing.privacy.mark_observers import Claim, by_distance
from auditing.privacy.mark_record import MarkRecord
from auditing.privacy.measured_noise import correlations, spreads
from auditing.privacy.perfect_attack import CanaryNoise, reaches
from auditing.privacy.promise import Promise, flags_of, promises_of
from auditing.privacy.report import section
from auditing.views.record import RunRecord
from simulator.core.damage import reading
from simulator.core.errors import Problem
from simulator.core.registry import PartSettings, Registry
from simulator.core.report import Section
from simulator.data.settings import CanarySettings
from simulator.results.audit_folder import AuditFolder
from simulator.results.places import AUDIT_RESULT
from simulator.results.run_directory import RunDirectory
from simulator.runs.audit import Audit
from simulator.runs.run import Run


class EmpiricalPrivacyAudit(Audit):
    """How much privacy a run's canaries show to be lost, beside what its methods promise: node by node and pooled."""

    class Config(PartSettings):
        """How canaries are scored and guessed, and what the bounds claim.

        Attributes:
            name: the audit's.
            signals: names of signals, by which mislabelled canaries are scored in models, beside `update_regression`.
            known: see `update_regression.coefficients`; it takes memory for the gradients of so many samples.
            recorded: least share of the rounds that must have been recorded; fewer show little of what nodes send, even
                to a perfect attack. With 0 final models may be audited alone.
            guessed: share of each node's canaries whose coins are guessed, fixed before anything is scored. The fewer,
                the surer the guesses, and the lower what faultless ones could show.
            delta: of (epsilon, delta) where the run promises nothing; else it is the promise's.
            confidence: with which each bound by itself holds.
        """

        name: str = "privacy"
        signals: tuple[str, ...] = ("loss",)
        known: NonNegativeInt = 300
        recorded: float = Field(0.5, ge=0, le=1)
        guessed: float = Field(0.5, gt=0, le=1)
        delta: float = Field(1e-5, gt=0, lt=1)
        confidence: float = Field(0.95, gt=0, lt=1)

    config: Config
    names: ClassVar[Mapping[str, Registry[Any] | Collection[str]]] = {"signals": SIGNALS}

    def objections(self, run: Run) -> Iterator[Problem]:
        """Signals that do not suit it, runs without canaries, or of which too little was recorded to show anything."""
        yield from unfit("--signal", SIGNALS, self.config.signals, run.nodes[0].data.offers).values()
        if not has_canaries(run):
            yield NO_CANARIES
        record = RunRecord.of(run)
        if run.experiment.data.canaries.marked:  # of which every message is kept
            yield from one_sided(run)
            return
        if len(record.rounds) < self.config.recorded * record.lasted:
            what = (
                f"{len(record.rounds)} of {record.lasted} rounds were recorded, so that even a perfect attack on what "
                f"nodes send would see little; {self.config.recorded:.0%} must be."
            )
            advice = "Run it again with record.every=1 record.without=[mixed], or audit final models with recorded=0."
            yield Problem("record", what, advice)

    def conduct(self, run: Run, folder: AuditFolder) -> dict[str, Any]:
        """Score the canaries, guess their coins, and bound epsilon from below."""
        canaries, promises = canaries_of(run), promises_of(run.directory, self.config.delta)
        record, planted = RunRecord.of(run), run.experiment.data.canaries
        recorded = {"rounds": len(record.rounds), "of": record.lasted}
        observers, noise = list[dict[str, Any]](), dict[str, Any]()
        if planted.marked:
            marks = MarkRecord.of(run, list(promises.values()))
            scores = {f"canary {planted.kind}": marks.ratios(canaries.node)}
            recorded["rounds"] = record.lasted
            noise = {"spreads": [asdict(each) for each in spreads(marks, canaries.member)], "correlations": []}
            if planted.kind == "block":  # where there is nothing but canaries and noise
                observers = by_distance(marks, canaries, run.directory.topology, self._claim(promises))
                noise["correlations"] = [asdict(each) for each in correlations(marks, canaries.member)]
        else:
            scores = scores_of(run, canaries, signals_named(self.config.signals), self.config.known)
        attacks = {name: self._bounds(each, canaries, promises, planted) for name, each in scores.items()}
        chosen = next(iter(attacks.values()))
        chosen["sampled"] = self._sampled(promises, len(canaries), chosen["pooled"])
        headline = run.nodes[0].data.task.headline
        membership = AuditFolder(folder.path.with_name("membership"))
        return {
            "round": run.nodes[0].round,
            **attackers_in(run),
            "canaries": len(canaries),
            "included": int(canaries.member.sum()),
            "kind": planted.kind,
            "marked": planted.marked,
            "recorded": recorded,
            "promises": [{"epsilon": promise.epsilon, "delta": promise.delta} for promise in promises.values()],
            "perfect_attack": self._perfect(canaries, promises, recorded, planted, run.nodes[0].seed),
            "flags": list(flags_of(run)),
            "attacks": attacks,
            "by_distance": observers,
            "noise": noise,
            "headline": headline,
            "accuracy": _last(run.directory, f"test/{headline}", promises),
            "membership_auc": _membership(membership, len(run.nodes), promises),
        }

    @classmethod
    def metrics(cls, result: Mapping[str, Any]) -> dict[str, float]:
        """What the first attack shows of all nodes: ``lower_bound`` on epsilon, and the ``ceiling`` that it can reach.

        ``perfect_attack`` is what the best one would show with the noise as promised, and ``recorded`` the share of
        the rounds that were.
        """
        pooled, recorded = next(iter(result["attacks"].values()))["pooled"], result["recorded"]
        perfect = {"perfect_attack": result["perfect_attack"]["pooled"]["typical"]} if result["perfect_attack"] else {}
        shown = {"lower_bound": pooled["epsilon"], "ceiling": pooled["ceiling"]}
        return shown | perfect | {"recorded": recorded["rounds"] / recorded["of"]}

    @classmethod
    def sections(cls, folder: AuditFolder) -> Sequence[Section]:
        """One section: promise, lower bound, attack and accuracy of each node, and what each attack shows."""
        return [section(folder.result())]

    def _perfect(
        self,
        canaries: Candidates,
        promises: Mapping[int, Promise],
        recorded: Mapping[str, int],
        planted: CanarySettings,
        seed: int,
    ) -> dict[str, Any] | None:
        """What the best attack on recorded updates would show if the noise is as promised; None where none is."""
        noises = [
            CanaryNoise(promise.mechanism, -(-promise.steps * recorded["rounds"] // recorded["of"]))
            for promise in promises.values()
            if promise.mechanism
        ]
        if len(noises) < len(promises):
            return None
        coins = [canaries.member[canaries.node == node] for node in promises]
        guesses = [self._guesses(len(own)) for own in coins]
        nodes, pooled = reaches(noises, coins, guesses, self.config.confidence, seed, comparable=planted.marked)
        return {"nodes": [asdict(each) for each in nodes], "pooled": asdict(pooled)}

    def _bounds(
        self,
        scores: NDArray[np.float64],
        canaries: Candidates,
        promises: Mapping[int, Promise],
        planted: CanarySettings,
    ) -> dict[str, Any]:
        """The lower bound of each node, and those of all: the guesses about each node's canaries taken together.

        Of those whose gradients are marks, scores mean the same at all nodes, so the surest of all are guessed.
        """
        whose = {node: canaries.node == node for node in promises}
        nodes = [
            self._node(scores[whose[node]], canaries.member[whose[node]], promise.delta)
            for node, promise in promises.items()
        ]
        correct, guesses = (sum(getattr(each, what) for each in nodes) for what in ("correct", "guesses"))
        if planted.marked:
            correct = guessed_right(scores, canaries.member, guesses)
        delta = max(promise.delta for promise in promises.values())
        found, ceiling = (
            one_run_epsilon(len(scores), guesses, right, delta, self.config.confidence) for right in (correct, guesses)
        )
        return {
            "nodes": [asdict(each) for each in nodes],
            "pooled": asdict(LowerBound(found, ceiling, correct, guesses)),
            "gaussian": asdict(one_run_gaussian(len(scores), guesses, correct, delta, self.config.confidence)),
            "sampled": None,
            "independent": asdict(independent_scores(scores, canaries.member, delta, self.config.confidence))
            if planted.kind == "block"
            else None,
        }

    def _sampled(self, promises: Mapping[int, Promise], canaries: int, pooled: Mapping[str, Any]) -> float | None:
        """What the first attack shows if the mechanism is the promised one but for its noise; None where none is.

        Of the node whose canaries are drawn most often, as the bound is on the least protected one.
        """
        known = [(promise.mechanism, promise.steps) for promise in promises.values() if promise.mechanism]
        if len(known) < len(promises):
            return None
        mechanism, steps = max(known, key=lambda each: (each[0].sample_rate, each[1]))
        guesses, correct = pooled["guesses"], pooled["correct"]
        return one_run_sampled(canaries, guesses, correct, mechanism, steps, self.config.confidence)

    def _claim(self, promises: Mapping[int, Promise]) -> Claim:
        local = [promise.epsilon for promise in promises.values()]
        delta = max(promise.delta for promise in promises.values())
        return Claim(local, delta, self.config.guessed, self.config.confidence)

    def _node(self, scores: NDArray[np.float64], included: NDArray[np.bool_], delta: float) -> LowerBound:
        return one_run(scores, included, self._guesses(len(scores)), delta, self.config.confidence)

    def _guesses(self, canaries: int) -> int:
        return max(1, round(self.config.guessed * canaries))


def _last(run: RunDirectory, metric: str, asked: Iterable[int]) -> list[float]:
    """The last value of ``metric`` at each of the nodes ``asked`` about."""
    values: list[float] = run.series(metric)[1][-1].tolist()
    return [values[node] for node in asked]


def _membership(folder: AuditFolder, nodes: int, asked: Collection[int]) -> list[float | None]:
    """By node, the AUC of the strongest attack of the audit of membership from its first view; None where unknown."""
    file = folder.path / AUDIT_RESULT
    if not file.exists():
        return [None] * len(asked)
    with reading(file):
        victims: Mapping[str, list[float | None]] = folder.result()["victims"]
        first = next(iter(victims.values()))
        if len(first) != nodes or not all(auc is None or isinstance(auc, float) for auc in first):
            raise ValueError("victims are no numbers, one a node")
        return [first[node] for node in asked]
