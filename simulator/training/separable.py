"""Whether a network treats samples one by one, so that each has its own gradient: found out before a run begins."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from simulator.core.errors import InputError, Problem, wrong
from simulator.core.flat_module import FlatModule
from simulator.core.samples import NodeData
from simulator.training.stackable import TOLERANCE
from simulator.training.stacked_module import StackedModule

SAMPLES = 4  # to try with


def check_layers(network: nn.Module) -> None:
    """Refuse layers that Opacus knows to mix samples, such as batch normalisation.

    Raises:
        InputError: naming each, and what could stand in its place.
    """
    problems = list(_unfit_layers(network))
    if problems:
        raise InputError(*problems)


def _unfit_layers(network: nn.Module) -> Iterator[Problem]:
    from opacus.validators import ModuleValidator  # takes seconds to import, and most runs do without

    for name, layer in network.named_modules():
        # Asked for by type, since `ModuleValidator.validate` passes over layers without parameters.
        found = ModuleValidator.VALIDATORS.get(type(layer), lambda layer: [])(layer)
        if found:
            what = f"{name or 'its only layer'}, {layer}, mixes samples, and a method needs a gradient of each."
            advice = "Choose a network without it, such as norm: group."
            if type(layer) in ModuleValidator.FIXERS:
                instead = ModuleValidator.FIXERS[type(layer)](layer)
                advice = f"Put {instead} in its place; for resnet20, set model.norm: group."
            yield Problem("model", what, advice)


def check_samples_apart(module: FlatModule, data: NodeData) -> None:
    """Refuse networks in which samples see each other, or which cannot be run with parameters of each sample's own.

    The gradient of a few training images together must be the sum of their own ones.

    Raises:
        InputError: they do, or it cannot.
    """
    images = data.normalizer(data.train.images_at(torch.arange(SAMPLES) % len(data.train)), module.dtype)
    try:
        together, apart = _together(module, images), _apart(module, images)
    except Exception as error:  # whatever a stranger's network may raise
        what = f"the network fails when samples are run one by one: {type(error).__name__}: {error}"
        raise wrong("model", what, "Use a network without batch normalisation.") from error
    if (together - apart).norm() > TOLERANCE[module.precision] * together.norm():
        what = "what the network makes of a sample depends on those beside it, so a sample has no gradient of its own."
        raise wrong("model", what, "Use group or evonorm normalisation.")


def _together(module: FlatModule, images: torch.Tensor) -> torch.Tensor:
    module.bind(module.initial)
    with module.autocast():
        logits = module.module(images)
    module.differentiate(logits.to(module.dtype).square().sum())
    return module.gradient.clone()


def _apart(module: FlatModule, images: torch.Tensor) -> torch.Tensor:
    matrix = module.initial.repeat(SAMPLES, 1).requires_grad_()
    logits = StackedModule(module).logits(matrix, images[:, None]).to(module.dtype)
    return torch.autograd.grad(logits.square().sum(), matrix)[0].sum(dim=0)
