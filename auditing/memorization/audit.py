"""The memorization audit: scores of every node's training samples, and how well they find wrong labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt
from scipy.stats import trim_mean

from auditing.attacks.signals import SIGNALS
from auditing.memorization.agreement import agreement
from auditing.memorization.detection import detection
from auditing.memorization.report import section
from auditing.memorization.samples import TrainingSamples
from auditing.memorization.scores import SCORES
from auditing.memorization.shown import Shown
from auditing.metrics import Resamples
from simulator.core import atomic
from simulator.core.acting import Acts, If
from simulator.core.damage import read_arrays, read_json
from simulator.core.errors import check_known
from simulator.core.report import Section
from simulator.core.seeding import generator
from simulator.core.strict_json import dumps
from simulator.results.run_directory import RunDirectory
from simulator.runs.audit import Audit
from simulator.runs.run import Run

Floats = NDArray[np.float64]
TRIMMED = 0.05  # of the samples, the lowest and as many highest, that a trimmed mean leaves out


class MemorizationAudit(Audit):
    """Which training samples the nodes' models know by heart, and whether those are the mislabelled ones."""

    class Config(Audit.Config):
        """Settings of `MemorizationAudit`.

        Attributes:
            name: the audit's.
            attacks: names in `SCORES`, families of scores of memorization.
            signals: names in `SIGNALS`, estimators of curvature as a rule, that "curvature" averages over training.
            top: how many of the most memorized samples the report shows, of all nodes and of each node shown.
            shown_nodes: for how many nodes, the first ones, it does.
            resamples: of the bootstrap that gives intervals.
        """

        acts: ClassVar[Acts] = {"signals": If(attacks="curvature"), "replicas": If(attacks="replicas")}

        name: str = "memorization"
        attacks: tuple[str, ...] = tuple(SCORES)
        signals: tuple[str, ...] = ("curvature_fd",)
        top: PositiveInt = 12
        shown_nodes: int = 3
        resamples: PositiveInt = 200

    config: Config

    def conduct(self, run: Path, results: Path) -> None:
        """Score every training sample; see `Audit.conduct`."""
        check_known("--attack", self.config.attacks, SCORES)
        check_known("--signal", self.config.signals, SIGNALS)
        audited = Run(RunDirectory.open(run), "finished")
        everything = self._scores(audited)
        unknown = np.isnan(np.stack(list(everything.values())))  # infinity there is none: scores see to that
        known = np.asarray(~unknown.any(axis=0))
        samples = TrainingSamples.of(audited.directory.partition()).at(known)
        scores = {name: score[known] for name, score in everything.items()}
        shown = self._shown(audited, samples, next(iter(scores.values())))
        result = self._result(audited, samples, scores)
        results.mkdir(parents=True, exist_ok=True)
        (results / "result.json").unlink(missing_ok=True)
        with atomic.drafted(results / "scores.npz") as draft, draft.open("wb") as stream:
            np.savez(stream, **_arrays(samples), **scores, **shown.arrays())  # type: ignore[arg-type]
        atomic.write(results / "result.json", dumps(result) + "\n")

    @classmethod
    def metrics(cls, results: Path) -> Mapping[str, float]:
        """How well each score finds what was made wrong: ``<what>/<score>/auroc``."""
        detection = read_json(results / "result.json")["detection"]
        return {
            f"{what}/{score}/auroc".replace(" ", "_"): values["pooled"]["value"]
            for what, found in detection.items()
            for score, values in found["scores"].items()
        }

    @classmethod
    def sections(cls, results: Path) -> Sequence[Section]:
        """One section: how well scores find wrong labels and agree, and the most memorized images."""
        return [section(read_json(results / "result.json"), read_arrays(results / "scores.npz"))]

    def _scores(self, run: Run) -> dict[str, Floats]:
        found: dict[str, Floats] = {}
        for name, family in SCORES.items():  # in an order in which whatever a run lacks shows before long work
            found |= family(run, self.config) if name in self.config.attacks else {}
        return found

    def _shown(self, run: Run, samples: TrainingSamples, score: Floats) -> Shown:
        pool = run.nodes[0].data.train
        return Shown.of(score, samples.node, self.config.shown_nodes, self.config.top, pool, samples.index)

    def _result(self, run: Run, samples: TrainingSamples, scores: Mapping[str, Floats]) -> dict[str, Any]:
        """The content of ``result.json``; in JSON there is no NaN, so what is not known is null."""
        return {
            "settings": self.config.model_dump(mode="json"),
            "round": run.nodes[0].round,
            "nodes": len(run.nodes),
            "samples": len(samples),
            "unknown": sum(len(node.data.train) for node in run.nodes) - len(samples),
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
