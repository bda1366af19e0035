"""Scores from what was recorded in training, from its checkpoints, and from the final models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from auditing.attackers import honest_nodes
from auditing.attacks.signal import SIGNALS
from auditing.finite import check_finite
from auditing.fitting import unfit
from auditing.memorization.checkpoints import at_checkpoints
from auditing.memorization.score import MemorizationScore, ScoreSettings
from simulator.core.errors import Problem
from simulator.core.node import Node
from simulator.core.run_schedule import RunSchedule
from simulator.runs.run import Run
from simulator.training.trajectories import suspicion

Floats = NDArray[np.float64]
Recorded = Mapping[int, Mapping[str, NDArray[Any]]]


class TrajectoryScores(MemorizationScore):
    """The cumulative loss over training (Ravikumar et al., ICML 2025), and others that the method keeps."""

    needs: ClassVar[frozenset[str]] = frozenset({"classes"})

    def lacking(self, run: Run, settings: ScoreSettings) -> Iterator[Problem]:
        """The method's record, to the end and of all nodes."""
        if len(_recorded(run)) < len(run.nodes):
            what = "nodes did not record, or not to the end, how their training samples fared."
            advice = "Run it again with {name: trajectories} among the methods, or name other scores with --attack."
            yield Problem("methods", what, advice)

    def scores(self, run: Run, settings: ScoreSettings) -> dict[str, Floats]:
        """What the method recorded; a sample that was never observed has NaN."""
        recorded = _recorded(run)
        for node in honest_nodes(run):
            _check_recorded(recorded[node.id], node)
        found = [suspicion(recorded[node.id]) for node in run.nodes]
        return {name: np.concatenate([each[name] for each in found]) for name in found[0]}


class Averaged(MemorizationScore):
    """The mean of each signal over training's checkpoints: of curvature, the score of Garg et al. (ICML 2024).

    Of signals that step across kinks of the network, the median over checkpoints as well: at one kink a single
    checkpoint makes the mean. At the end of training alone the curvature of what was memorized has fallen again.
    """

    def lacking(self, run: Run, settings: ScoreSettings) -> Iterator[Problem]:
        """Signals that suit the samples; checkpoints: at least two, and all that were saved on schedule."""
        yield from unfit("--signal", SIGNALS, settings.signals, run.nodes[0].data.offers).values()
        rounds = _scheduled(run)
        lost = len(set(rounds) - set(run.checkpoints.rounds()))
        if len(rounds) < 2 or lost:
            kept = f"saved {len(rounds)}" + (f", of which {lost} were not kept" if lost else "")
            what = f"a mean over training needs all checkpoints, and at least 2, and this run {kept}."
            every = run.experiment.checkpoint.every or max(1, run.experiment.rounds // 10)
            again = f"Run it again with checkpoint.every={every} checkpoint.keep=all"
            yield Problem("checkpoint", what, f"{again}, or name other scores with --attack.")

    def scores(self, run: Run, settings: ScoreSettings) -> dict[str, Floats]:
        """``mean <signal>`` of each signal, and ``median <signal>`` where kinks may swamp the mean."""
        found: dict[str, Floats] = {}
        for name in settings.signals:
            values = at_checkpoints(run, name, _scheduled(run))
            found[f"mean {name}"] = values.mean(axis=0)
            if SIGNALS.load(name).kinks:
                found[f"median {name}"] = np.median(values, axis=0)
        return found


class FinalLoss(MemorizationScore):
    """The loss at the last checkpoint: the cheap competitor."""

    def scores(self, run: Run, settings: ScoreSettings) -> dict[str, Floats]:
        """``final loss`` of each training sample by its own node's model."""
        return {"final loss": at_checkpoints(run, "loss", [run.checkpoints.choose()])[0]}


def _recorded(run: Run) -> Recorded:
    """What the method trajectories saved last, by node."""
    return {artifact.node: artifact.arrays for artifact in run.directory.artifacts("trajectories")}


def _scheduled(run: Run) -> list[int]:
    """The rounds of the checkpoints that were due until the last one.

    Where a run was interrupted it kept a checkpoint more; that is left out, so that the resumed run has the scores of
    one that never stopped.
    """
    schedule = RunSchedule(run.experiment.rounds, None, run.experiment.checkpoint.every)
    last = max(run.checkpoints.rounds(), default=0)
    return [round for round in range(last + 1) if schedule.checkpoints(round)]


def _check_recorded(found: Mapping[str, NDArray[Any]], node: Node) -> None:
    """Refuse what was observed and is not finite; what was never observed is NaN by right."""
    for name in ("cumulative_loss", "mean_margin", "el2n"):
        values = np.where(found["observations"] > 0, found[name], 0.0)
        check_finite(values, name.replace("_", " "), node.data.train, f"of node {node.id} in training")
