"""Signals of every sample in every model, each in double precision and evaluation mode."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from auditing.attacks.probed_model import ProbedModel
from auditing.attacks.signal import Signal
from auditing.finite import check_finite
from auditing.progress import Countdown
from auditing.threads import one_a_core
from auditing.trained_elsewhere.data import AuditedData
from auditing.trained_elsewhere.network import Build
from auditing.trained_elsewhere.state_dicts import State, check_state
from simulator.core.arrays import taken
from simulator.core.copied_inputs import give_copies
from simulator.core.errors import InputError, Problem, RumormillError, wrong
from simulator.core.flat_module import FlatModule
from simulator.core.samples import Samples
from simulator.core.seeding import generator
from simulator.core.task import Task
from simulator.training.evaluation import score

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class NamedModel:
    """A model that was trained elsewhere.

    Attributes:
        name: of its file, or its number.
        load: reads its state dict.
    """

    name: str
    load: Callable[[], State]


@dataclass(frozen=True)
class Measured:
    """What N models say of M samples, and of P test samples.

    Attributes:
        samples: float64 [N, M] by signal, high for members.
        test: float64 [N, P] by signal; empty where there are no test samples.
        scores: of each model, its task's headline on the samples that it trained on and on the others; None where it is
            undefined.
    """

    samples: Mapping[str, Floats]
    test: Mapping[str, Floats]
    scores: Sequence[tuple[float | None, float | None]]


def check_models(models: Sequence[NamedModel], build: Build, data: AuditedData) -> None:
    """Refuse state dicts that are not of the network, and a network that is not one for the data.

    Raises:
        InputError: listing all of them.
    """
    problems: list[Problem] = []
    for model in models:
        try:
            check_state(model.load(), build(), model.name)
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(*problems)
    _check_outputs(_probed(models[0], build, data), data)


def _check_outputs(probed: ProbedModel, data: AuditedData) -> None:
    """Refuse a network that cannot be given the data, or whose answer to a sample is not that sample's own."""
    few = data.preparation(data.samples.inputs_at(torch.arange(min(4, len(data.samples)))), torch.float64)
    try:
        with torch.no_grad():
            outputs, first = probed.outputs(few), probed.outputs(taken(few, torch.arange(2)))
    except RumormillError:
        raise
    except Exception as error:  # the user's network can raise anything
        what = f"the network cannot be given these samples: {type(error).__name__}: {error}"
        raise wrong("--network", what, "Give x as the network takes it, without its first dimension.") from error
    width, wanted = outputs.shape[-1], data.outputs.width
    if width < wanted if data.task.has_classes else width != wanted:
        what = f"the network puts out {width} numbers, where the data ask for {wanted}"
        advice = "Number classes from 0, and give the network that was trained on these data."
        raise wrong("--network", f"{what}{' classes' if data.task.has_classes else ''}.", advice)
    if not torch.allclose(outputs[:2], first, rtol=1e-6):
        what = "what the network puts out for a sample depends on chance, or on the other samples of its batch."
        raise wrong("--network", what, "Let it use running averages, and no dropout, in evaluation mode.")


def measured(
    models: Sequence[NamedModel],
    build: Build,
    data: AuditedData,
    signals: Mapping[str, Signal],
    members: NDArray[np.bool_],
    seed: int,
) -> Measured:
    """The signals of all samples in all models, and how well each model does its task.

    Raises:
        InputError: a signal is not finite.
    """
    sets = {"samples": data.samples} | ({"test": data.test} if data.test else {})

    def of(row: int) -> tuple[dict[str, dict[str, Floats]], tuple[float | None, float | None]]:
        model, name = _probed(models[row], build, data), models[row].name
        found = {which: {key: _one(key, each, model, samples, seed, name) for key, each in signals.items()}
                 for which, samples in sets.items()}  # fmt: skip
        outputs = model.network.outputs(data.samples, data.preparation)
        everything = torch.arange(len(data.samples))
        inside = torch.from_numpy(members[row])
        known = [
            _headline(data.task, outputs[side], data.samples.targets_at(everything[side])) for side in (inside, ~inside)
        ]
        return found, (known[0], known[1])

    work = f"{len(models)} models: {len(data.samples):,} samples x {len(signals)} signals"
    with one_a_core() as pool:
        rows = list(Countdown(f"scoring {work}").over(pool.map(of, range(len(models))), [1.0] * len(models)))
    stacked = {which: {key: np.stack([found[which][key] for found, _ in rows]) for key in signals} for which in sets}
    return Measured(stacked["samples"], stacked.get("test", {}), [scores for _, scores in rows])


def _probed(model: NamedModel, build: Build, data: AuditedData) -> ProbedModel:
    """The model with its buffers, in evaluation mode, and in double precision: nothing that was stored is rounded."""
    network = build().double().eval()
    network.load_state_dict(model.load())
    give_copies(network)  # its batches are looked at more than once
    return ProbedModel(FlatModule(network, "fp64"), data.preparation, data.task)


def _one(name: str, signal: Signal, model: ProbedModel, samples: Samples, seed: int, whose: str) -> Floats:
    rng = generator(seed, f"audit.signals.{name}")  # all models are probed alike
    found = signal.measure(model, samples, rng)
    check_finite(found, name, samples, whose)
    return found


def _headline(task: Task, outputs: torch.Tensor, targets: torch.Tensor) -> float | None:
    return score(task, outputs, targets).get(task.headline)
