"""A plain `torch.nn.Module` class as a model: its settings are the parameters of its constructor."""

from __future__ import annotations

import inspect
import typing
from functools import cache
from inspect import Parameter
from math import prod
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, create_model
from torch import nn

from simulator.core.errors import wrong
from simulator.core.model import Model
from simulator.core.multi_exit import MultiExit
from simulator.core.registry import PartSettings
from simulator.core.specification import InputSpec, OutputSpec

# Parameters that the data decide:
FROM_DATA = ("classes", "num_classes", "outputs", "shape", "features", "vocabulary", "length", "parts")
PLAIN = (bool, int, float, str, type(None))


class NetworkSettings(PartSettings):
    """Settings of a plain network: the parameters of its constructor that are not in `FROM_DATA`."""

    network: ClassVar[type[nn.Module]]

    def __reduce__(self) -> tuple[Any, ...]:
        """By way of the network: the class of these settings is made anew wherever they arrive."""
        return _settings, (self.network, dict(self), self.model_fields_set)


class NetworkModel(Model):
    """Builds a network by calling its class with the settings of its block and, if it asks for them, with the data's.

    A parameter called ``outputs``, ``classes`` or ``num_classes`` is given the number of outputs, ``shape`` the shape
    of one sample, which is (height, width, channels) of an image, ``features`` how many numbers a sample has in all,
    ``vocabulary`` and ``length`` how many tokens there are and how many a sample has, ``parts`` the shapes of several
    arrays by name. The network sees images as float [B, channels, height, width], and several arrays as arguments by
    their names; it returns [B, outputs], of tokens [B, length, outputs].
    """

    network: ClassVar[type[nn.Module]]

    def build(self, inputs: InputSpec, outputs: OutputSpec) -> nn.Module:
        """The network that the user's class makes."""
        known = {
            **dict.fromkeys(("classes", "num_classes", "outputs"), outputs.width),
            "shape": inputs.shape,
            "features": prod(inputs.shape),
            "vocabulary": inputs.vocabulary,
            "length": inputs.shape[0] if inputs.shape else 0,
            "parts": inputs.parts,
        }
        asked = {name: known[name] for name in FROM_DATA if name in inspect.signature(self.network).parameters}
        return self.network(**{key: value for key, value in self.config if key != "name"}, **asked)


@cache
def model_of(network: type[nn.Module]) -> type[NetworkModel]:
    """The model that builds ``network``.

    Raises:
        InputError: its constructor cannot be called with settings alone.
    """
    if network.__module__.partition(".")[0] == "torch":
        what = f"{network.__module__}:{network.__qualname__} is a layer of torch's, and no whole network."
        raise wrong("", what, "Write a class that is derived from torch.nn.Module and holds it.")
    config = _config(network)
    config.network = network
    place = {"__module__": network.__module__, "__qualname__": network.__qualname__, "__doc__": network.__doc__}
    exits = {"has_exits": issubclass(network, MultiExit)}
    return type(network.__name__, (NetworkModel,), {"Config": config, "network": network, **exits, **place})


def _settings(network: type[nn.Module], values: dict[str, Any], given: set[str]) -> PartSettings:
    return model_of(network).Config.model_construct(given, **values)  # type: ignore[arg-type]  # classes are hashable


def _config(network: type[nn.Module]) -> type[NetworkSettings]:
    """The settings that fit the constructor; a default that no experiment file can hold stays the constructor's own."""
    fields: dict[str, Any] = {"name": (str, network.__name__)}
    more = False
    for name, parameter in inspect.signature(network).parameters.items():
        more |= parameter.kind is Parameter.VAR_KEYWORD
        if name in FROM_DATA or parameter.kind in (Parameter.VAR_KEYWORD, Parameter.VAR_POSITIONAL):
            continue
        if parameter.kind is Parameter.POSITIONAL_ONLY or name == "name" or name[0] == "_" or hasattr(BaseModel, name):
            what = f"{network.__qualname__} has a parameter '{name}', which no setting can be called or given as."
            raise wrong(
                "", what, "Rename it and let it be given by name, or derive the model from Model and its build."
            )
        if parameter.default is Parameter.empty:
            fields[name] = (_kind(network, parameter), ...)
        elif _is_plain(parameter.default):
            fields[name] = (_kind(network, parameter), Field(parameter.default, validate_default=False))
    return _created(network, fields, more)


def _created(network: type[nn.Module], fields: dict[str, Any], more: bool) -> type[NetworkSettings]:
    base, module = _Open if more else NetworkSettings, network.__module__
    try:
        return create_model("Config", __base__=base, __module__=module, **fields)
    except (PydanticUserError, TypeError):  # a type that pydantic does not know: then the constructor judges
        anything: dict[str, Any] = {name: (Any, default) for name, (_, default) in fields.items()}
        return create_model("Config", __base__=base, __module__=module, **anything)


class _Open(NetworkSettings):
    """Of a constructor that takes any further keyword."""

    model_config = ConfigDict(extra="allow")


def _kind(network: type[nn.Module], parameter: Parameter) -> Any:
    """Its type hint; where there is none, any value will do, but files hold lists in the place of tuples."""
    otherwise = tuple if isinstance(parameter.default, tuple) else Any
    try:
        return typing.get_type_hints(network.__init__).get(parameter.name, otherwise)
    except Exception:  # hints that name what is not there say nothing
        return otherwise


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    return isinstance(value, PLAIN)
