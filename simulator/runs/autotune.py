"""What an experiment leaves open, decided before its run begins, once: device and trainer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from simulator.config.experiment import Experiment
from simulator.core.backend import BACKENDS, Blueprint
from simulator.core.errors import no_cuda, wrong
from simulator.core.method import traits_of
from simulator.training.probe import milliseconds_a_node_step
from simulator.training.stackable import obstacle

NOTHING_TO_GAIN = 3.0  # ms a node-step on a CPU: this one is busy computing, and stacking saves overhead only

Figures = Mapping[str, Any]


def with_device(experiment: Experiment) -> Experiment:
    """``experiment`` on a device that is there, or that workers elsewhere get.

    Raises:
        InputError: it asks for a GPU, and there is none.
    """
    wanted, backend = experiment.training.device, experiment.backend
    if wanted == "cpu":
        return experiment
    found = "cuda" if torch.cuda.is_available() or BACKENDS.load(backend.name).has_gpus(backend) else "cpu"
    if wanted == "cuda" and found != "cuda":
        raise no_cuda("no CUDA device can be used here.")
    return _with_training(experiment, device=found)


def device_here(experiment: Experiment) -> str | None:
    """Of what leads the run, where this machine lacks the GPUs that the workers have; None: as the experiment says."""
    return "cpu" if experiment.training.device == "cuda" and not torch.cuda.is_available() else None


def on_cpu(experiment: Experiment) -> Experiment:
    """``experiment`` for looking at what it left behind, wherever it was run."""
    return _with_training(experiment, device="cpu", trainer="sequential")


def with_trainer(experiment: Experiment, blueprint: Blueprint) -> tuple[Experiment, Figures]:
    """``experiment`` with a trainer that works, and what was measured to choose it: empty where it was given.

    Raises:
        InputError: nodes shall be stacked, and cannot be.
    """
    wanted = experiment.training.trainer
    if wanted == "sequential":
        return experiment, {}
    reason = _obstacle(experiment, blueprint)
    if wanted == "stacked":
        if reason:
            what = f"these nodes cannot be trained as one program: {reason}"
            raise wrong("training.trainer", what, "Set training.trainer: sequential, or auto.")
        return experiment, {}
    if not reason and device_here(experiment):
        reason = "the workers' GPUs cannot be asked from this machine, which has none."
    figures = {"chosen": "sequential", "because": reason} if reason else _faster(experiment, blueprint)
    return _with_training(experiment, trainer=figures["chosen"]), figures


def node_by_node(experiment: Experiment) -> Experiment:
    """``experiment`` for nodes on machines of their own: where the trainer is left open, the reference."""
    return _with_training(experiment, trainer="sequential") if experiment.training.trainer == "auto" else experiment


def _obstacle(experiment: Experiment, blueprint: Blueprint) -> str | None:
    for settings in experiment.methods:
        if not traits_of(settings).stackable:
            return f"the method {settings.name} does not declare that it allows it."
    (node,) = blueprint.nodes([0])
    found = obstacle(blueprint.module(), node.data)
    return found


def _faster(experiment: Experiment, blueprint: Blueprint) -> dict[str, Any]:
    """Which trainer is faster here; a GPU is asked about both, a CPU about stacking only where that could pay."""
    times, device = dict[str, float](), experiment.training.device
    times["sequential"] = milliseconds_a_node_step("sequential", blueprint)
    if device != "cpu" or times["sequential"] < NOTHING_TO_GAIN:
        times["stacked"] = milliseconds_a_node_step("stacked", blueprint)
    chosen = min(times, key=lambda trainer: times[trainer])
    rounded = {trainer: round(time, 4) for trainer, time in times.items()}
    return {"chosen": chosen, "device": device, "milliseconds_a_node_step": rounded}


def _with_training(experiment: Experiment, **changes: str) -> Experiment:
    return experiment.model_copy(update={"training": experiment.training.model_copy(update=changes)})
