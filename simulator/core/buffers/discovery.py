"""Which buffers of a network are state: found out by type, then by experiment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from simulator.core.arrays import Arrays, mapped
from simulator.core.buffers.carried import run, tried
from simulator.core.buffers.layout import Layout
from simulator.core.buffers.settings import BufferSettings
from simulator.core.copied_inputs import versions
from simulator.core.draws import WatchedDraws
from simulator.core.errors import InputError, Problem, wrong

Normalisation = nn.modules.batchnorm._NormBase  # of batches, and of instances
SHOWN = 3  # layers by name


@dataclass(frozen=True)
class Findings:
    """What a network turned out to do in a forward pass of training.

    Attributes:
        layout: its state beside its parameters; None where it has none.
        is_random: whether it draws random numbers.
        writes_to_inputs: whether it changes the batch that it is given.
        counted: its plain attributes that are other numbers after each batch.
    """

    layout: Layout | None
    is_random: bool
    writes_to_inputs: bool = False
    counted: tuple[str, ...] = ()


def findings(network: nn.Module, inputs: Arrays) -> Findings:
    """What ``network`` does to its buffers, and to torch's generator, while it is trained as it stands.

    Running statistics of normalisation layers that are in training mode are state by their type, and whatever else
    changes in a forward pass is by experiment; floats are running statistics then, and whole numbers counters. What
    stays is a constant. Nothing of the network is changed, nor is any global generator.

    Args:
        network: with its layers in the modes in which they are trained.
        inputs: of a few samples, as the network takes them.

    Raises:
        InputError: it cannot be run, or keeps its state in a way that cannot be followed.
    """
    before = {name: (buffer, buffer.clone()) for name, buffer in network.named_buffers()}
    places = {name: parameter.data_ptr() for name, parameter in network.named_parameters()}
    at_first, values, fresh = versions(inputs), mapped(inputs, torch.clone), _copy(network)
    try:
        outputs, is_random = _run(network, inputs)
    except Exception as error:
        if not before:  # it will fail in training, which tells where
            return Findings(None, is_random=False)
        what = f"fails in a forward pass of training with {type(error).__name__}: {str(error).strip()[:200]}."
        raise wrong("model", f"the network {what}", "Try it on a batch of the data.") from error
    _refuse_written_parameters(network, fresh, places)
    by_type = {name for pair in _moments(network) for name in pair}
    changed = [name for name in before if _has_changed(network, name, *before[name])]
    _refuse_what_cannot_be_followed(network, before, changed)
    state = {name: before[name][0] for name in before if name in by_type or name in changed}
    _restore(before)
    if state:
        _refuse_changes_in_evaluation(network, inputs, before)
    layout = _layout(network, state) if state else None
    later = tried(fresh, values, outputs)
    return Findings(layout, is_random, later.writes_to_inputs or versions(inputs) != at_first, later.counted)


def check_declared(layout: Layout | None, settings: BufferSettings | None, network: nn.Module) -> None:
    """Refuse state that nobody has said what becomes of, and settings for state that there is not.

    Raises:
        InputError: naming the layers.
    """
    if layout is not None and settings is None:
        layers = [_named(network, layer) for layer in layout.layers]
        shown = ", ".join(layers[:SHOWN]) + (f" and {len(layers) - SHOWN} more" if len(layers) > SHOWN else "")
        what = f"the network keeps running statistics, and nothing says what becomes of them: {shown}."
        advice = (
            "Set buffers: local (each node keeps its own), mixed (sent, and averaged as parameters are) or frozen "
            "(fixed, after freeze_after rounds); or normalise without state, by nn.GroupNorm."
        )
        raise wrong("buffers", what, advice)
    if layout is None and settings is not None and not (settings.frozen_from_the_start and _keeps_statistics(network)):
        what = "the network keeps no running statistics, so there is nothing to declare."
        raise wrong("buffers", what, "Leave buffers out.")


def state_notes(layout: Layout | None, settings: BufferSettings | None, counted: Sequence[str] = ()) -> Iterator[str]:
    """What whoever starts a run should know of the state that its nodes keep beside their parameters."""
    if counted:
        what = f"{', '.join(counted[:SHOWN])} of the network changes with each batch, of whichever node"
        yield f"{what}, and is not saved: make it a buffer if anything depends on it"
    if layout is not None and settings is not None and layout.others and settings.ever_travel:
        yield f"state that is no mean or variance is averaged as it is: {', '.join(layout.others[:SHOWN])}"


def set_training_modes(network: nn.Module, settings: BufferSettings | None) -> None:
    """Put all layers into the modes in which they are trained.

    Those that hold frozen parameters only are in evaluation mode, and so are normalisation layers whose running
    statistics are frozen from the start.
    """
    network.train()
    for layer in frozen_layers(network):
        layer.eval()
    if settings is not None and settings.frozen_from_the_start:
        for layer in network.modules():
            if isinstance(layer, Normalisation) and layer.running_mean is not None:
                layer.training = False


def frozen_layers(network: nn.Module) -> list[nn.Module]:
    """The largest layers that hold parameters, none of which is trained."""
    own = list(network.parameters())
    if own and not any(parameter.requires_grad for parameter in own):
        return [network]
    return [layer for child in network.children() for layer in frozen_layers(child)]


def _run(network: nn.Module, inputs: Arrays) -> tuple[Any, bool]:
    """A forward pass: its outputs, and whether it drew random numbers."""
    with WatchedDraws() as watched:
        return run(network, inputs), watched.any


def _copy(network: nn.Module) -> nn.Module:
    try:
        return deepcopy(network)
    except Exception:  # of a stranger's network, which is looked at itself then: what it does once is not seen
        return network


def _moments(network: nn.Module) -> list[tuple[str, str]]:
    """Names of running means and variances of layers that are being trained."""
    return [
        (f"{name}.running_mean".lstrip("."), f"{name}.running_var".lstrip("."))
        for name, layer in network.named_modules()
        if isinstance(layer, Normalisation) and layer.training and layer.running_mean is not None
    ]


def _has_changed(network: nn.Module, name: str, buffer: Tensor, copy: Tensor) -> bool:
    return network.get_buffer(name) is not buffer or not torch.equal(buffer, copy)


def _refuse_what_cannot_be_followed(
    network: nn.Module, before: Mapping[str, tuple[Tensor, Tensor]], changed: list[str]
) -> None:
    problems = []
    for name in changed:
        buffer = before[name][0]
        if network.get_buffer(name) is not buffer:
            what = f"the network puts another tensor in the place of its buffer '{name}' while it is trained."
            problems.append(
                Problem("model", what, "Write to it in place: buffer.mul_(0.9).add_(...), buffer.copy_(...).")
            )
        elif buffer.dtype == torch.bool or buffer.is_complex():
            what = f"the network's buffer '{name}' changes in training, and is {buffer.dtype}: no float and no count."
            problems.append(Problem("model", what, "Keep it as a float, or do without it."))
    if added := {name for name, _ in network.named_buffers()} - before.keys():
        what = f"the network makes a buffer '{min(added)}' while it is trained."
        problems.append(Problem("model", what, "Register all buffers in the constructor."))
    if problems:
        raise InputError(*problems)


def _refuse_written_parameters(network: nn.Module, fresh: nn.Module, places: Mapping[str, int]) -> None:
    """Refuse a network that changes its parameters itself, or puts others into their ``places``.

    What is trained and sent are the old ones then.
    """
    at_first = dict(fresh.named_parameters())
    for name, parameter in network.named_parameters():
        if parameter.data_ptr() != places.get(name) or not torch.equal(parameter, at_first[name]):
            what = f"the network writes to its parameter '{name}' in a forward pass."
            advice = "Use it as it should be (torch.renorm(self.weight, ...), torch.nn.utils.parametrize), unwritten."
            raise wrong("model", what, advice)


def _restore(before: Mapping[str, tuple[Tensor, Tensor]]) -> None:
    with torch.no_grad():
        for buffer, copy in before.values():
            buffer.copy_(copy)


def _refuse_changes_in_evaluation(
    network: nn.Module, inputs: Arrays, before: Mapping[str, tuple[Tensor, Tensor]]
) -> None:
    modes = [(layer, layer.training) for layer in network.modules()]
    network.eval()
    try:
        _run(network, inputs)
    finally:
        for layer, training in modes:
            layer.training = training
    changed = [name for name in before if _has_changed(network, name, *before[name])]
    _restore(before)
    if changed:
        what = f"the network changes its buffer '{changed[0]}' in evaluation mode too, so that looking would change it."
        raise wrong("model", what, "Write to it only where self.training is true.")


def _layout(network: nn.Module, state: Mapping[str, Tensor]) -> Layout:
    shapes = {name: buffer.shape for name, buffer in network.named_buffers() if name in state}
    running = {name: shape for name, shape in shapes.items() if state[name].is_floating_point()}
    counters = {name: shape for name, shape in shapes.items() if name not in running}
    return Layout(running, counters, [pair for pair in _moments(network) if pair[0] in running])


def _keeps_statistics(network: nn.Module) -> bool:
    return any(isinstance(layer, Normalisation) and layer.running_mean is not None for layer in network.modules())


def _named(network: nn.Module, layer: str) -> str:
    return f"{layer or 'the network'} ({type(network.get_submodule(layer)).__name__})"
