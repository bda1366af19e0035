"""Scores of memorization: one number for each training sample, from the models of the node that trains on it.

All are high for samples with which others help little: a model learns them by heart, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditing.attacks.signals import SIGNALS
from auditing.finite import check_finite
from auditing.memorization.replicated import by_replicas
from auditing.threads import one_a_core
from simulator.core.errors import wrong
from simulator.core.flat_module import FlatModule
from simulator.core.node import Node
from simulator.core.run_schedule import RunSchedule
from simulator.core.seeding import generator
from simulator.runs.audit import Audit
from simulator.runs.run import Run
from simulator.training.trajectories import suspicion

Floats = NDArray[np.float64]
Family = Callable[[Run, Audit.Config], Mapping[str, Floats]]


def trajectories(run: Run, config: Audit.Config) -> dict[str, Floats]:
    """What the method of that name recorded in training: the cumulative loss (Ravikumar et al., ICML 2025), and others.

    A sample that was never observed has NaN.

    Raises:
        InputError: the run has no such record, or what was recorded is not finite.
    """
    last = {artifact.node: artifact.arrays for artifact in run.directory.artifacts("trajectories")}
    if len(last) < len(run.nodes):
        what = "nodes did not record, or not to the end, how their training samples fared."
        advice = "Run it again with {name: trajectories} among the methods, or name other scores with --attack."
        raise wrong("methods", what, advice)
    for node in run.nodes:
        _check_recorded(last[node.id], node)
    found = [suspicion(last[node.id]) for node in run.nodes]
    return {name: np.concatenate([each[name] for each in found]) for name in found[0]}


def averaged(run: Run, config: Audit.Config) -> dict[str, Floats]:
    """The mean of each signal over training's checkpoints: of curvature, the score of Garg et al. (ICML 2024).

    Of signals that step across kinks of the network, the median over checkpoints as well: at one kink a single
    checkpoint makes the mean. At the end of training alone the curvature of what was memorized has fallen again. Where
    a run was interrupted it kept a checkpoint more; that is left out, so that the resumed run has the scores of one
    that never stopped.

    Raises:
        InputError: the run saved fewer than two checkpoints, or did not keep all of them.
    """
    settings, saved = run.directory.experiment, run.checkpoints.rounds()
    run_schedule = RunSchedule(settings["rounds"], None, settings["checkpoint"]["every"])
    rounds = [round for round in range(max(saved, default=0) + 1) if run_schedule.checkpoints(round)]
    lost = len(set(rounds) - set(saved))
    if len(rounds) < 2 or lost:
        kept = f"saved {len(rounds)}" + (f", of which {lost} were not kept" if lost else "")
        what = f"a mean over training needs all checkpoints, and at least 2, and this run {kept}."
        every = settings["checkpoint"]["every"] or max(1, settings["rounds"] // 10)
        advice = f"Run it again with checkpoint.every={every} checkpoint.keep=all, or name other scores with --attack."
        raise wrong("checkpoint", what, advice)
    found: dict[str, Floats] = {}
    for name in config.signals:
        values = at_checkpoints(run, name, rounds)
        found[f"mean {name}"] = values.mean(axis=0)
        found |= {f"median {name}": np.median(values, axis=0)} if SIGNALS[name].kinks else {}
    return found


def final_loss(run: Run, config: Audit.Config) -> dict[str, Floats]:
    """The loss at the last checkpoint: the cheap competitor."""
    return {"final loss": at_checkpoints(run, "loss", [run.checkpoints.choose()])[0]}


SCORES: Mapping[str, Family] = {
    "trajectories": trajectories,
    "curvature": averaged,
    "final_loss": final_loss,
    "replicas": by_replicas,
}


def at_checkpoints(run: Run, signal: str, rounds: Sequence[int]) -> Floats:
    """float64 [rounds, N]: ``signal`` of every training sample by its own node's model, low for what is fitted well.

    In double precision. Estimators draw new directions at each node and checkpoint, so that their errors average
    out.

    Raises:
        InputError: a value is not finite.
    """
    models = {round: run.models(round).double() for round in rounds}

    def measure(node: Node, network: FlatModule) -> Floats:
        rows = []
        for round, parameters in models.items():
            network.bind(parameters[node.id])
            rng = generator(node.seed, f"audit.memorization.{signal}", node=node.id, round=round)
            values = SIGNALS[signal].values(network, node.data.train, node.data.normalizer, rng)
            check_finite(values, signal, node.data.train, f"of node {node.id} after round {round}")
            rows.append(values if SIGNALS[signal].members == "low" else -values)
        return np.stack(rows)

    networks = [FlatModule(run.blueprint.module().module, "fp64") for _ in run.nodes]
    with one_a_core() as pool:
        return np.concatenate(list(pool.map(measure, run.nodes, networks)), axis=1)


def _check_recorded(found: Mapping[str, NDArray[Any]], node: Node) -> None:
    """Refuse what was observed and is not finite; what was never observed is NaN by right."""
    for name in ("cumulative_loss", "mean_margin", "el2n"):
        values = np.where(found["observations"] > 0, found[name], 0.0)
        check_finite(values, name.replace("_", " "), node.data.train, f"of node {node.id} in training")
