"""The audit of models that were trained elsewhere, from Python and from files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from auditing.attacks.attack import attacks_named
from auditing.attacks.features import public_features
from auditing.attacks.rmia import USUAL, RmiaSettings
from auditing.attacks.signal import signals_named
from auditing.candidates import classes_of
from auditing.trained_elsewhere import masks
from auditing.trained_elsewhere.data import AuditedData
from auditing.trained_elsewhere.findings import Asked, ModelsAudit
from auditing.trained_elsewhere.judgement import chosen, combinations, judged
from auditing.trained_elsewhere.measurement import Measured, NamedModel, check_models, measured
from auditing.trained_elsewhere.network import Network, builder
from auditing.trained_elsewhere.state_dicts import State, files_of, read_state
from simulator.config.parsing import load_part
from simulator.core.errors import InputError, wrong
from simulator.core.task import TASKS, Task

Models = Sequence[str | Path | State]
NONE: Mapping[str, Any] = {}


def audit_models(
    models: str | Path | Models,
    members: NDArray[np.bool_],
    data: Mapping[str, NDArray[Any]],
    network: Network,
    network_settings: Mapping[str, Any] = NONE,
    *,
    task: str | Task = "classification",
    attacks: Sequence[str] = (),
    signals: Sequence[str] = (),
    classes: int | None = None,
    resamples: int = 500,
    seed: int = 0,
    rmia: RmiaSettings = USUAL,
) -> ModelsAudit:
    """Who can tell that a sample was trained on, of N models that were trained elsewhere on M samples.

    Each model in turn is attacked, with the others for references. Nothing is trained.

    Args:
        models: files or patterns of such, or state dicts; row k of ``members`` is about the k-th.
        members: bool [N, M], whether each model was trained on a sample.
        data: arrays by name, above all "x" and "y"; see `auditing.trained_elsewhere.data.AuditedData.of`.
        network: what they are models of; see `auditing.trained_elsewhere.network.builder`.
        network_settings: of the network.
        task: what they were trained for, or its name.
        attacks: names of attacks; by default all for which there is what they need, without mere variants.
        signals: names of signals; by default those of outputs alone.
        classes: how many there are; by default the largest label tells.
        resamples: of the bootstrap that gives intervals.
        seed: of estimators and of the bootstrap.
        rmia: what RMIA leaves open.

    Raises:
        InputError: models, mask, data and network do not fit together, or an attack or a signal does not suit them.
    """
    named, what = _models(models), _task(task)
    arrays = AuditedData.of(data, what, classes)
    mask = masks.checked(np.asarray(members), len(named), len(arrays.samples))
    asked = Asked.about([model.name for model in named], mask, arrays.group)
    choice, problems = chosen(
        attacks, signals, arrays.offers, len(named) - 1, arrays.test is not None, arrays.group is not None
    )
    if problems:
        raise InputError(*problems)
    build = builder(network, network_settings, arrays.inputs, arrays.outputs)
    check_models(named, build, arrays)
    found = measured(named, build, arrays, signals_named(choice.signals), mask, seed)
    labels = classes_of(arrays.samples, what)
    usual = classes_of(arrays.test, what) if arrays.test else labels[:0]
    known, beside = attacks_named(choice.attacks, rmia=rmia), dict[str, Any](group=arrays.group)
    if arrays.test and any(attack.features for attack in known.values()):
        shown = public_features(arrays.samples, arrays.test, arrays.preparation)
        beside |= zip(("features", "population_features"), shown, strict=True)
    scores = {
        f"{signal}, {name}": asked.scores(judged(signal, known[name], found, mask, labels, usual, beside))
        for signal, name in combinations(choice, known)
    }
    rows = zip(asked.names, mask, found.scores, strict=True)
    result = {
        "network": network if isinstance(network, str) else getattr(network, "__name__", type(network).__name__),
        "task": what.config.name,
        "signals": list(choice.signals),
        "resamples": resamples,
        "seed": seed,
        "score": what.headline,
        "models": [{"name": name, "members": int(row.sum()), "scores": list(each)} for name, row, each in rows],
        **asked.found(scores, resamples, seed),
        "notes": [*arrays.notes, *choice.notes, *_no_better(what, found, asked.names)],
    }
    return ModelsAudit(result, {"members": mask, **found.samples, **scores})


def _task(task: str | Task) -> Task:
    if isinstance(task, Task):
        return task
    try:
        TASKS.load(task)
    except InputError as error:
        raise error.under("--task") from error
    return TASKS.build(load_part(TASKS, {"name": task}))


def _no_better(task: Task, found: Measured, names: Sequence[str]) -> list[str]:
    """What to tell of models that score no better on what they trained on: most often the mask is of other models."""
    sign = 1 if task.higher_is_better else -1
    known = [(name, a, b) for name, (a, b) in zip(names, found.scores, strict=True) if a is not None and b is not None]
    worse = [name for name, inside, outside in known if sign * (inside - outside) <= 0]
    if len(worse) <= len(names) / 4:
        return []
    shown = ", ".join(worse[:5])
    return [
        f"{len(worse)} of {len(names)} models ({shown}) have no better {task.headline} on what they trained on than on "
        "the rest: see that row k of the mask is about model k, and that samples are normalised as in training"
    ]


def _models(models: str | Path | Models) -> list[NamedModel]:
    given: Models = [models] if isinstance(models, str | Path) else models
    if not given:
        raise wrong("--models", "there is no model.", "Name files of state dicts.")
    found: list[NamedModel] = []
    for each in given:
        if isinstance(each, str | Path):
            found += [NamedModel(file.name, partial(read_state, file)) for file in files_of([each])]
        elif all(isinstance(value, Tensor) for value in each.values()):
            found.append(NamedModel(f"model {len(found)}", partial(dict, each)))
        else:
            raise wrong("--models", f"model {len(found)} is no state dict.", "Give model.state_dict().")
    if len({model.name for model in found}) < len(found):
        raise wrong("--models", "two models have the same name.", "Rename a file.")
    return found
