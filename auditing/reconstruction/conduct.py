"""The attacks on recorded updates, victim by victim, and all of them together."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from auditing.attackers import honest_nodes
from auditing.progress import Countdown
from auditing.reconstruction.attacks import ATTACKS, INVERSIONS, fits
from auditing.reconstruction.constant_updates import ConstantUpdates
from auditing.reconstruction.gradient_matching import MatchingSettings, gradient_matching
from auditing.reconstruction.identification import nearest, psnr
from auditing.reconstruction.kept import Kept
from auditing.reconstruction.label_counts import label_counts
from auditing.reconstruction.measurement import Truth, figures
from auditing.reconstruction.plan import Seen
from auditing.reconstruction.scene import Recovered, Scene
from auditing.reconstruction.token_sets import token_set
from auditing.reconstruction.verdict import in_words, succeeded, together
from auditing.reconstruction.victims import Victim, Victims
from simulator.core.seeding import generator
from simulator.results.audit_folder import AuditFolder
from simulator.results.formatting import duration
from simulator.results.terminal import Terminal
from simulator.runs.run import Run

if TYPE_CHECKING:
    from auditing.reconstruction.audit import ReconstructionAudit

SHOWN = 8  # samples in the report's pictures
FEW = 5  # iterations, from which the time of all is estimated


class Conduct:
    """The attacks that a run allows.

    Args:
        run: that is audited.
        folder: of the audit.
        config: its settings.
    """

    def __init__(self, run: Run, folder: AuditFolder, config: ReconstructionAudit.Config) -> None:
        self._run, self._folder, self._config = run, folder, config
        self._victims = Victims(run, config.labels == "given")
        kept = folder.subfolder("recovered")
        self._kept = Kept(kept, str({**config.model_dump(mode="json"), "rounds": []}))
        self._pictures: dict[str, list[NDArray[np.float64]]] = {}
        self._pictured: dict[str, list[dict[str, Any]]] = {}

    def result(self, seen: Seen) -> dict[str, Any]:
        """What was found, for ``result.json``."""
        everyone = list(self._victims.of(self._drawn, self._rounds, self._config.messages == "each"))
        attacks = [name for name in self._asked if fits(name, self._victims)]
        jobs = [self._about(victim, seen) for victim in everyone]
        found: dict[str, Any] = {
            attack: self._inverted(attack, everyone) if attack in INVERSIONS else self._told(attack, everyone)
            for attack in attacks
        }
        self._save_pictures()
        self._kept.clear()
        return {
            "rounds": self._rounds,
            "victims": sorted({victim.update.victim for victim in everyone}),
            "unfit": [name for name in ATTACKS if not fits(name, self._victims)],
            "unasked": [name for name in ATTACKS if name not in self._asked and fits(name, self._victims)],
            "updates": jobs,
            "attacks": found,
            "together": {name: self._together(name, found[name], jobs) for name in attacks if name in INVERSIONS},
            "pictured": self._pictured,
            "constant": self._constant(),
            "mixed_otherwise": not self._victims.mixed_as_told(),
            "replacing": self._victims.replacing,
            "remembering": self._victims.remembering,
            "assumptions": self._assumptions(),
            "epsilon": self._epsilon(),
        }

    @property
    def _asked(self) -> Sequence[str]:
        cheap = [name for name in ATTACKS if name not in INVERSIONS or not INVERSIONS[name].long]
        return self._config.attacks or cheap

    @cached_property
    def _rounds(self) -> list[int]:
        kept = self._victims.record.rounds
        return sorted(set(self._config.rounds) or {kept[0], kept[-1]})

    @cached_property
    def _drawn(self) -> list[int]:
        """The nodes that are attacked, none of which lies."""
        honest = [node.id for node in honest_nodes(self._run)]
        rng = generator(self._run.experiment.seed, "audit.reconstruction.victims")
        return sorted(rng.permutation(honest)[: self._config.victims].tolist())

    def _about(self, victim: Victim, seen: Seen) -> dict[str, Any]:
        """Which update it is, and which observers can compute it."""
        update, place = victim.update, self._place(victim, seen)
        solvers = None if place is None else np.flatnonzero(seen.of.solved[:, update.victim, place]).tolist()
        return {
            "victim": update.victim,
            "round": update.round,
            "how": update.how,
            "observer": update.observer,
            "solved_by": None if solvers is None else [seen.observers[each].name for each in solvers],
            "batches_known": self._victims.known(victim),
            "mixture": victim.gradient.mixture,
            "relative_rounding": float(update.rounding.norm() / update.change.norm()) if update.change.any() else None,
        }

    def _place(self, victim: Victim, seen: Seen) -> int | None:
        """The place of its round among the updates that were followed, of which every round has one."""
        return victim.update.round - 1 if victim.update.round <= seen.of.explained.shape[2] else None

    def _inverted(self, attack: str, everyone: Sequence[Victim]) -> list[dict[str, Any]]:
        """Figures of an attack that recovers samples, in the order of ``everyone``."""
        if INVERSIONS[attack].long:
            self._tell_how_long(attack, everyone)
        countdown = Countdown(f"reconstruction: {attack} on {len(everyone)} updates", unit="updates")
        searched = (self._recovered(attack, victim) for victim in everyone)
        recovered = list(countdown.over(searched, [1.0] * len(everyone)))
        return [self._figures(attack, victim, place, everyone, recovered) for place, victim in enumerate(everyone)]

    def _recovered(self, attack: str, victim: Victim) -> Recovered:
        scene, settings = self._victims.scene(victim, attack), self._config.matching
        seen = [victim.gradient.start, victim.gradient.total]
        name = f"{attack}-{victim.name}"
        return self._kept.recovered(name, seen, lambda: INVERSIONS[attack].recover(scene, settings))

    def _figures(
        self, attack: str, victim: Victim, place: int, everyone: Sequence[Victim], recovered: Sequence[Recovered]
    ) -> dict[str, Any]:
        truth, shown = self._victims.truth(victim), self._victims.compared(victim.update.victim).shown
        found = shown(recovered[place].inputs)
        measured, other = truth.measured(found), _another(place, everyone)
        wrong = None if other is None else shown(recovered[other].inputs)
        if victim.update.how == "exact":
            self._picture(attack, victim, truth, found, measured, wrong)
        return {
            **figures(measured, len(truth.true)),
            "certified": int(recovered[place].certified.sum()),
            "pool": len(truth.pool),
            "wrong": None if wrong is None else figures(truth.measured(wrong), len(truth.true)),
            "limit": recovered[place].limit,
        }

    def _told(self, attack: str, everyone: Sequence[Victim]) -> list[dict[str, Any] | None]:
        """Figures of an attack on labels or tokens, in the order of ``everyone``; None where it says nothing."""
        tell = self._labels if attack == "labels" else self._tokens
        countdown = Countdown(f"reconstruction: {attack} of {len(everyone)} updates", unit="updates")
        return list(countdown.over((tell(victim) for victim in everyone), [1.0] * len(everyone)))

    def _labels(self, victim: Victim) -> dict[str, Any] | None:
        true, found = self._victims.labels(victim), label_counts(self._victims.scene(victim, "labels"))
        if found is None or true is None:
            return None
        counts = np.bincount(true.numpy(), minlength=len(found))
        even = np.full(len(found), counts.sum() / len(found))
        return {
            "true": counts.tolist(),
            "found": found.tolist(),
            "wrong": float(np.abs(found - counts).sum() / 2),
            "samples": int(counts.sum()),
            "even": float(np.abs(even - counts).sum() / 2),
        }

    def _tokens(self, victim: Victim) -> dict[str, Any] | None:
        found = token_set(self._victims.scene(victim, "tokens"))
        true = self._victims.tokens(victim)
        if found is None or true is None:
            return None
        both = len(found & true)
        return {"true": len(true), "found": len(found), "both": both, "vocabulary": victim.node.data.inputs.vocabulary}

    def _together(
        self, attack: str, found: Sequence[Mapping[str, Any]], updates: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        """By how the update is seen, "exact", "blurred" or "guessed": over all rounds, and round by round.

        Batches that were drawn empty, as those of DP-SGD may be, have nothing to find.
        """
        result: dict[str, Any] = {}
        for how in ("exact", "blurred", "guessed"):
            result |= {how: by} if (by := self._by_round(attack, found, updates, how)) else {}
        return result

    def _by_round(
        self, attack: str, found: Sequence[Mapping[str, Any]], updates: Sequence[Mapping[str, Any]], how: str
    ) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for round in (None, *self._rounds):
            name, tests = ("all", 1) if round is None else (str(round), len(self._rounds))
            among = [
                (job, update)
                for job, update in zip(found, updates, strict=True)
                if update["how"] == how and round in (None, update["round"]) and job["samples"]
            ]
            if among:
                rng = generator(self._run.experiment.seed, f"audit.reconstruction.interval.{attack}.{how}.{name}")
                figures = together([job for job, _ in among], rng)
                result[name] = {
                    **figures,
                    "computed": sum(bool(update["solved_by"]) for _, update in among),
                    "verdict": in_words(figures, tests),
                    "succeeded": succeeded(figures, tests),
                }
        return result

    def _constant(self) -> dict[str, Any] | None:
        """How far the attack gets that takes updates for constants; None without consecutive rounds."""
        knowledge = self._victims.knowledge if self._config.messages == "each" else None
        return None if knowledge is None else ConstantUpdates(knowledge).errors(self._drawn)

    def _tell_how_long(self, attack: str, everyone: Sequence[Victim]) -> None:
        """An estimate of the time, from a few iterations, before the attack begins."""
        scene, matching = self._victims.scene(everyone[0], "estimate"), self._config.matching
        begun = _seconds(scene, matching, 1)  # with the labels, which are worked out once
        labels = torch.zeros(min(scene.samples, matching.samples), dtype=torch.int64)
        one = _seconds(replace(scene, labels=labels), matching, FEW) / FEW
        total = (begun + one * matching.iterations * matching.restarts) * len(everyone)
        Terminal(stderr=True).print(f"{attack}: about {duration(total)} for {len(everyone)} updates", soft_wrap=True)

    def _picture(
        self, attack: str, victim: Victim, truth: Truth, found: NDArray[np.float64], measured: Mapping[str, Any],
        wrong: NDArray[np.float64] | None,
    ) -> None:  # fmt: skip
        """Keep the best reconstruction of the victim for the report: original, recovered, best public, wrong update."""
        shown = self._pictures.setdefault(attack, [])
        if not truth.images or len(shown) >= SHOWN or not measured["errors"]:
            return
        best = int(np.argmin(measured["errors"]))
        true = truth.true[measured["true"][best]]
        public = nearest(true[None], truth.public)[0]
        other = None if wrong is None or len(wrong) == 0 else nearest(true[None], wrong)[0]
        recovered = found[measured["found"][best]]
        shown.append(np.stack([true, recovered, public, np.zeros_like(true) if other is None else other]))
        beside = {"recovered": recovered, "best public": public, "wrong update": other}
        self._pictured.setdefault(attack, []).append({
            "victim": victim.update.victim,
            "round": victim.update.round,
            "identified": measured["identified"][best],
            "psnr": {kind: None if each is None else _psnr(each, true) for kind, each in beside.items()},
        })  # fmt: skip

    def _save_pictures(self) -> None:
        arrays = {
            f"pictures/{attack}": np.round(255 * np.stack(shown)).astype(np.uint8)
            for attack, shown in self._pictures.items()
            if shown
        }
        self._folder.save_arrays(arrays)

    def _assumptions(self) -> dict[str, Any]:
        """What sound evaluations of such attacks state."""
        node = self._run.nodes[0]
        optimizer = node.training.optimizer
        return {
            "batch": node.training.batch_size,
            "local_steps": node.training.local_steps,
            "optimizer": ", ".join(f"{name} {value:g}" for name, value in optimizer.model_dump().items() if value),
            "methods": [method.name for method in self._run.experiment.methods],
            "augmentation": bool(node.training_set.is_augmented),
            "labels": self._config.labels,
            "parameters": node.parameters.numel(),
            "precision": str(node.parameters.dtype).removeprefix("torch."),
        }

    def _epsilon(self) -> float | None:
        """The largest epsilon that a node's own accountant has promised by the end."""
        spent = [m.value for m in self._run.directory.metrics() if m.name == "privacy/epsilon"]
        return max(spent, default=None)


def _psnr(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(psnr(np.square(one - other).mean(keepdims=True).ravel())[0])


def _seconds(scene: Scene, matching: MatchingSettings, iterations: int) -> float:
    """How long it takes to match gradients for so many ``iterations``."""
    began = time.perf_counter()
    gradient_matching(scene, matching.model_copy(update={"iterations": iterations, "restarts": 1}))
    return time.perf_counter() - began


def _another(place: int, everyone: Sequence[Victim]) -> int | None:
    """The next victim's update of the same round, seen in the same way: for the attack on a wrong update."""
    here = everyone[place].update
    alike = [
        number
        for number, victim in enumerate(everyone)
        if (victim.update.round, victim.update.how) == (here.round, here.how) and victim.update.victim != here.victim
    ]
    return next((number for number in alike if number > place), alike[0] if alike else None)
