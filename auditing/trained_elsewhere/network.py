"""The network that models were trained with: a class by name, a class, or an instance."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from simulator.config.parsing import load_part
from simulator.core.errors import InputError, wrong
from simulator.core.model_registry import MODELS
from simulator.core.specification import InputSpec, OutputSpec
from simulator.core.user_code.names import pinned

Network = str | nn.Module | Callable[..., nn.Module]
Build = Callable[[], nn.Module]


def builder(network: Network, settings: Mapping[str, Any], inputs: InputSpec, outputs: OutputSpec) -> Build:
    """What makes a network of the kind, whose parameters are then replaced.

    Args:
        network: "file.py:Class", "package.module:Class" or the name of a built-in model, which is given what it asks
            for of the data; a class or a function, which is called with the ``settings`` alone; or a network.
        settings: of the network.
        inputs: what it is given.
        outputs: what has to come out of it.

    Raises:
        InputError: there is no such network, or it does not take the settings.
    """
    if isinstance(network, str):
        return _named(network, settings, inputs, outputs)
    if isinstance(network, nn.Module):
        if settings:
            raise wrong(
                "network_settings", "the network is there already.", "Leave the settings out, or give its class."
            )
        return lambda: copy.deepcopy(network)
    try:
        network(**settings)
    except TypeError as error:
        raise wrong("network_settings", f"the network cannot be made: {error}.", "Give what it takes.") from error
    return lambda: network(**settings)


def _named(name: str, settings: Mapping[str, Any], inputs: InputSpec, outputs: OutputSpec) -> Build:
    try:
        known = pinned(name, Path())
        MODELS.load(known)
    except InputError as error:
        raise error.under("--network") from error
    model = MODELS.build(load_part(MODELS, {"name": known, **settings}))
    model.check(inputs)
    return lambda: model.build(inputs, outputs)
