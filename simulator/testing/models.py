"""The laws of models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from simulator.core.arrays import Arrays, called, count, mapped
from simulator.core.buffers.discovery import findings, set_training_modes
from simulator.core.channel import Channel
from simulator.core.flat_module import FlatModule
from simulator.core.lazy_layers import give_shapes
from simulator.core.model_registry import MODELS
from simulator.core.multi_exit import MultiExit
from simulator.core.registry import PartSettings
from simulator.core.specification import InputSpec, OutputSpec
from simulator.testing import laws
from simulator.testing.given import class_and_settings
from simulator.testing.network import of_images, seeded

SAMPLES = 4  # to try with
MANY = 256  # where a few have left parameters aside


def check_model(
    model: Any,
    config: PartSettings | None = None,
    *,
    shape: tuple[int, ...] = (32, 32, 3),
    classes: int = 5,
    channels: Sequence[Channel] = (),
    vocabulary: int = 0,
) -> None:
    """All laws of a model, or of a plain `torch.nn.Module` class in the place of one.

    Args:
        model: its class, a name as in an experiment file, settings with a name, or an object: ``Mine(width=8)``.
        config: the settings, where the class or a name is given; its defaults unless given.
        shape: (height, width, channels) of the images to build it for; (length,) of tokens.
        classes: the number of outputs.
        channels: what the images' channels hold, where it is not gray or RGB.
        vocabulary: how many tokens there are, of a network for such.

    Raises:
        AssertionError: a law is broken; the text says which.
        InputError: there is no such model, or its network keeps state in a way that cannot be followed from node to
            node (see `simulator.core.buffers.discovery`).
    """
    part, config = class_and_settings(MODELS, model, config)
    laws.keeps_only_its_config(part, config)
    laws.settings_can_be_written_out(config)
    given, asked = _specified(shape, classes, channels, vocabulary)
    inputs = _tried(given)

    def made() -> nn.Module:
        network = part(config).build(given, asked)
        give_shapes(network, inputs)
        return network

    build = seeded(made)
    begins_as_the_seed_says(build)
    network = build()
    set_training_modes(network, None)
    findings(network, inputs)
    predicts_each_sample(network, inputs, classes)
    uses_all_parameters(network, given)
    is_whole_when_bound(build(), inputs)


def _specified(
    shape: tuple[int, ...], classes: int, channels: Sequence[Channel], vocabulary: int
) -> tuple[InputSpec, OutputSpec]:
    if vocabulary:
        return InputSpec("tokens", shape, vocabulary=vocabulary), of_images((1, 1, 1), classes)[1]
    height, width, depth = shape
    return of_images((height, width, depth), classes, channels)


def _tried(given: InputSpec, samples: int = SAMPLES) -> Arrays:
    """Samples as a network is given them: pictures of noise, or tokens, the last one of each no token."""
    if given.kind == "tokens":
        ids = torch.randint(given.vocabulary, (samples, *given.shape))
        return {"ids": ids, "mask": torch.arange(given.shape[0]).expand_as(ids) < given.shape[0] - 1}
    height, width, depth = given.shape
    return torch.rand(samples, depth, height, width)


def begins_as_the_seed_says(build: Any) -> None:
    """Built twice under the same seed of the global generators, it begins with the same parameters."""
    first, second = (list(build().parameters()) for _ in range(2))
    assert first, "the network has no parameters"
    assert all(map(torch.equal, first, second)), "initial parameters differ at every call"


def predicts_each_sample(network: nn.Module, inputs: Arrays, classes: int) -> None:
    """B samples give finite float outputs [B, classes]."""
    outputs, asked = called(network, inputs), [count(inputs), classes]
    assert list(outputs.shape) == asked, f"outputs are {list(outputs.shape)}, not {asked}"
    assert outputs.isfinite().all(), "outputs are not finite"


def uses_all_parameters(network: nn.Module, given: InputSpec) -> None:
    """All that are trained have gradients, if not of a few samples then of many: experts have samples of their own."""
    trained = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    idle = list(trained)
    for samples in SAMPLES, MANY:
        if idle:
            inputs = _tried(given, samples)
            spread = mapped(inputs, lambda array: 2 * array - 1 if array.is_floating_point() else array)
            called(network, spread).square().sum().backward()  # type: ignore[no-untyped-call]
            idle = [name for name in idle if trained[name].grad is None]
    assert isinstance(network, MultiExit) or not idle, f"outputs of {MANY} samples do not depend on {', '.join(idle)}"


def is_whole_when_bound(network: nn.Module, inputs: Arrays) -> None:
    """As a module that serves many nodes, it computes what it computed before, with tied weights still one tensor."""
    network.eval()
    with torch.no_grad():
        before = called(network, mapped(inputs, torch.clone))  # it may write to what it is given
        after = called(FlatModule(network).module, inputs)
    assert torch.allclose(before, after, atol=1e-5), "outputs change once parameters are views of one vector"
