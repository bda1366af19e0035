"""Whether network and task treat samples one by one, so that each has its own gradient: found out before a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import repeat

import torch
from torch import nn

from simulator.core.arrays import Arrays, called, mapped
from simulator.core.errors import InputError, Problem, wrong
from simulator.core.flat_module import FlatModule
from simulator.core.samples import NodeData
from simulator.training.stackable import TOLERANCE
from simulator.training.stacked_module import StackedModule
from simulator.training.vectorised import (
    WHY_RANDOM,
    WITHOUT_RANDOM,
    CannotBeVectorisedError,
    explaining,
    is_random,
    named,
)

SAMPLES = 4  # to try with
EACH = "a method needs a gradient of each sample"


def check_layers(network: nn.Module) -> None:
    """Refuse layers that are known to mix samples, to draw random numbers, or to have no form for many samples.

    Layers are judged in the modes that they are in: batch normalisation by fixed statistics mixes no samples.

    Raises:
        InputError: naming each, and what could stand in its place.
    """
    problems = list(_unfit_layers(network))
    if problems:
        raise InputError(*problems)


def _unfit_layers(network: nn.Module) -> Iterator[Problem]:
    mixing = dict[str, nn.Module]()
    for name, layer in network.named_modules():
        if _is_at_rest(layer):
            continue
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            mixing[name] = layer
        elif is_random(layer):
            yield Problem("model", f"{named(name, layer)} {WHY_RANDOM}; {EACH}.", WITHOUT_RANDOM)
        elif isinstance(layer, (nn.RNNBase, nn.LSTMCell)):
            what = f"{named(name, layer)} cannot be vectorised over samples by PyTorch, and {EACH}."
            yield Problem("model", what, "Put nn.GRUCell or nn.RNNCell, in a loop over the steps, in its place.")
    if mixing:
        yield _mixing(mixing)


def _mixing(layers: Mapping[str, nn.Module]) -> Problem:
    """What to say of layers of batch normalisation: at once, since networks have dozens of them."""
    (name, first), *others = layers.items()
    alike = f" The same holds for {', '.join(other for other, _ in others)}." if others else ""
    what = f"{named(name, first)} mixes samples, and {EACH}.{alike}"
    advice = (
        f"Put {_instead(first)} in its place{', and so on' if others else ''}: model.norm: group of resnet20, "
        "model.arguments: {norm_layer: groupnorm} of timm's resnet18. Or let statistics that came with weights rest: "
        "buffers: {policy: frozen, freeze_after: 0}."
    )
    return Problem("model", what, advice)


def _is_at_rest(layer: nn.Module) -> bool:
    """Whether it is in evaluation mode while the network is trained, and treats samples one by one then."""
    batch_norm = isinstance(layer, nn.modules.batchnorm._BatchNorm)
    return not layer.training and (layer.running_mean is not None if batch_norm else is_random(layer))


def _instead(layer: nn.Module) -> str:
    """What Opacus puts in the place of batch normalisation."""
    from opacus.validators import ModuleValidator  # takes seconds to import, and most runs do without

    fixer = ModuleValidator.FIXERS.get(type(layer))
    return str(fixer(layer)) if fixer else "group normalisation"


def check_samples_apart(module: FlatModule, data: NodeData) -> None:
    """Refuse networks and tasks in which samples see each other, and networks that cannot be run with one row a sample.

    The gradient of a few training samples together must be the sum of their own ones, and the same every time.

    Raises:
        InputError: they do, or it cannot: with the layer in which it fails.
    """
    inputs = data.preparation(data.train.inputs_at(torch.arange(SAMPLES) % len(data.train)), module.dtype)
    together = _together(module, inputs)
    if not _alike(module, together, _together(module, inputs)):
        what = (
            "the network does not give the same result twice: it draws random numbers, or writes to state of its own."
        )
        raise wrong("model", what, WITHOUT_RANDOM)
    try:
        with explaining(module.module):
            apart = _apart(module, inputs)
    except CannotBeVectorisedError as error:
        raise wrong("model", f"run sample by sample, as {EACH}: {error.what}", error.advice) from error
    if not _alike(module, together, apart):
        what = "what the network makes of a sample depends on those beside it, so a sample has no gradient of its own."
        raise wrong("model", what, "Use group or evonorm normalisation.")
    _check_losses(module, data)


def _check_losses(module: FlatModule, data: NodeData) -> None:
    """Refuse a task whose losses, or their gradients, are others in a batch than alone; of outputs that are made up.

    Those of a network that has learnt nothing may be the same for all samples, which would hide it.
    """
    rows = torch.arange(SAMPLES) % len(data.train)
    targets = data.train.targets_at(rows)
    module.bind(module.initial)
    with torch.no_grad():
        outputs = called(module.module, data.preparation(data.train.inputs_at(rows), module.dtype))
    made_up = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(0)).to(module.initial)

    def found(part: slice) -> tuple[torch.Tensor, torch.Tensor]:
        leaf = made_up[part].clone().requires_grad_()
        losses = data.task.losses(leaf, targets[part])
        return losses.detach(), torch.autograd.grad(losses.sum(), leaf)[0]

    apart = zip(*(found(slice(place, place + 1)) for place in range(SAMPLES)), strict=True)
    if not all(map(_alike, repeat(module), found(slice(None)), map(torch.cat, apart))):
        what = f"a sample's loss, or its gradient, depends on the samples beside it, and {EACH}."
        raise wrong("task", what, "Let the task's losses look at one sample at a time, or leave that method out.")


def _alike(module: FlatModule, one: torch.Tensor, other: torch.Tensor) -> bool:
    return bool((one - other).norm() <= TOLERANCE[module.precision] * one.norm())


def _together(module: FlatModule, inputs: Arrays) -> torch.Tensor:
    module.bind(module.initial)
    with module.autocast():
        outputs = called(module.module, inputs)
    module.differentiate(outputs.to(module.dtype).square().sum())
    return module.gradient.clone()


def _apart(module: FlatModule, inputs: Arrays) -> torch.Tensor:
    matrix = module.initial.repeat(SAMPLES, 1).requires_grad_()
    one_each = mapped(inputs, lambda array: array[:, None])
    outputs = StackedModule(module).outputs(matrix, one_each).to(module.dtype)
    return torch.autograd.grad(outputs.square().sum(), matrix)[0].sum(dim=0)
