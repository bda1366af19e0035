"""The memorization audit: scores of every node's training samples, and how well they find wrong labels."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import NonNegativeInt, PositiveInt
from scipy.stats import trim_mean

from auditing.attackers import attackers_in, honest_nodes
from auditing.attacks.signal import SIGNALS
from auditing.fitting import unfit
from auditing.memorization.agreement import agreement
from auditing.memorization.detection import detection
from auditing.memorization.report import section
from auditing.memorization.samples import TrainingSamples
from auditing.memorization.score import MEMORIZATION_SCORES, ORDER, PublishedFile, scores_named
from auditing.memorization.shown import Shown
from auditing.metrics import Resamples
from simulator.core.acting import Acts, If
from simulator.core.errors import Problem
from simulator.core.registry import PartSettings, Registry
from simulator.core.report import Section
from simulator.core.seeding import generator
from simulator.results.audit_folder import AuditFolder
from simulator.runs.audit import Audit
from simulator.runs.run import Run

Floats = NDArray[np.float64]
TRIMMED = 0.05  # of the samples, the lowest and as many highest, that a trimmed mean leaves out


class MemorizationAudit(Audit):
    """Which training samples the nodes' models know by heart, and whether those are the mislabelled ones."""

    class Config(PartSettings):
        """How samples are scored, and what the report shows.

        Attributes:
            name: the audit's.
            attacks: names of scores of memorization.
            signals: names of signals, estimators of curvature as a rule, that "curvature" averages over training.
            published: a file of scores that others have measured of the same samples, for "published".
            replicas: how many networks like the run's "replicas" trains, each on other halves of the nodes' pools.
            top: how many of the most memorized samples the report shows, of all nodes and of each node shown.
            shown_nodes: for how many nodes, the first ones, it does.
            resamples: of the bootstrap that gives intervals.
        """

        acts: ClassVar[Acts] = {
            "signals": If(attacks="curvature"),
            "published": If(attacks="published"),
            "replicas": If(attacks="replicas"),
        }

        name: str = "memorization"
        attacks: tuple[str, ...] = ORDER
        signals: tuple[str, ...] = ("curvature_fd",)
        published: PublishedFile | None = None
        replicas: NonNegativeInt = 0
        top: PositiveInt = 12
        shown_nodes: int = 3
        resamples: PositiveInt = 200

    config: Config
    names: ClassVar[Mapping[str, Registry[Any] | Collection[str]]] = {
        "attacks": MEMORIZATION_SCORES,
        "signals": SIGNALS,
    }

    def objections(self, run: Run) -> Iterator[Problem]:
        """What the run lacks for the scores that are asked for; scores that its samples or its task do not allow."""
        yield from unfit("--attack", MEMORIZATION_SCORES, self.config.attacks, run.nodes[0].data.offers).values()
        for score in scores_named(self.config.attacks):
            yield from score.lacking(run, self.config)

    def conduct(self, run: Run, folder: AuditFolder) -> dict[str, Any]:
        """Score every training sample of honest nodes."""
        everything: dict[str, Floats] = {}
        for score in scores_named(self.config.attacks):
            everything |= score.scores(run, self.config)
        unknown = np.isnan(np.stack(list(everything.values())))  # infinity there is none: scores see to that
        everyone = TrainingSamples.of(run.directory.partition())
        known = np.asarray(~unknown.any(axis=0)) & ~np.isin(everyone.node, sorted(run.directory.attackers))
        samples = everyone.at(known)
        scores = {name: score[known] for name, score in everything.items()}
        shown = self._shown(run, samples, next(iter(scores.values())))
        folder.save_arrays({**_arrays(samples), **scores, **(shown.arrays() if shown else {})})
        return self._result(run, samples, scores)

    @classmethod
    def metrics(cls, result: Mapping[str, Any]) -> dict[str, float]:
        """How well each score finds what was made wrong: ``<what>/<score>/auroc``."""
        return {
            f"{what}/{score}/auroc".replace(" ", "_"): values["pooled"]["value"]
            for what, found in result["detection"].items()
            for score, values in found["scores"].items()
        }

    @classmethod
    def sections(cls, folder: AuditFolder) -> Sequence[Section]:
        """One section: how well scores find wrong labels and agree, and the most memorized images."""
        return [section(folder.result(), folder.arrays())]

    def _shown(self, run: Run, samples: TrainingSamples, score: Floats) -> Shown | None:
        """The images; None where samples are none."""
        if run.nodes[0].data.inputs.kind != "images":
            return None
        pool = run.nodes[0].data.train
        return Shown.of(score, samples.node, self.config.shown_nodes, self.config.top, pool, samples.index)

    def _result(self, run: Run, samples: TrainingSamples, scores: Mapping[str, Floats]) -> dict[str, Any]:
        """What is found; in JSON there is no NaN, so what is not known is null."""
        return {
            "round": run.nodes[0].round,
            "nodes": len(run.nodes),
            **attackers_in(run),
            "samples": len(samples),
            "unknown": sum(len(node.data.train) for node in honest_nodes(run)) - len(samples),
            "scores": list(scores),
            "levels": _plain({name: _levels(score) for name, score in scores.items()}),
            "agreement": _plain(agreement(scores)),
            "detection": _plain({kind: self._detection(run, samples, kind, scores) for kind in samples.wrong}),
        }

    def _detection(self, run: Run, samples: TrainingSamples, kind: str, scores: Mapping[str, Floats]) -> dict[str, Any]:
        """``number`` to be found, and the `Detection` by each score, among these and clean samples."""
        asked = samples.wrong[kind] | samples.clean
        wrong, node = samples.wrong[kind][asked], samples.node[asked]
        rng = generator(run.nodes[0].seed, f"audit.memorization.{kind}")
        resamples = Resamples(2 * node + wrong, self.config.resamples, rng)
        found = {name: asdict(detection(score[asked], wrong, node, resamples)) for name, score in scores.items()}
        return {"number": int(wrong.sum()), "scores": found}


def _levels(score: Floats) -> dict[str, float]:
    """How high a score is over samples: its mean, and means that few samples cannot make."""
    trimmed = float(trim_mean(score, TRIMMED))
    return {"mean": float(score.mean()), "trimmed mean": trimmed, "median": float(np.median(score))}


def _arrays(samples: TrainingSamples) -> dict[str, NDArray[Any]]:
    """Whom each sample belongs to and what is known of it; ``wrong`` counts the kinds in ``result.json`` from 1."""
    wrong = np.zeros(len(samples), dtype=np.int64)
    for number, mask in enumerate(samples.wrong.values(), 1):
        wrong[mask] = number
    names = ("node", "index", "label", "true_label", "class_names")
    return {**{name: getattr(samples, name) for name in names}, "wrong": wrong}


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {key: _plain(inner) for key, inner in value.items()}
        case list() | np.ndarray():
            return [_plain(inner) for inner in value]
        case float():
            return float(value) if isfinite(value) else None
    return value
