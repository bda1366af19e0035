"""The registry of models, which takes plain networks for such, too."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn

from simulator.core.model import Model
from simulator.core.plain_network import model_of
from simulator.core.registry import Registry


class ModelRegistry(Registry[Model]):
    """Models, and plain networks in the place of such; see `simulator.core.plain_network`."""

    or_else: ClassVar[str] = ", or from torch.nn.Module"

    def as_part(self, thing: Any) -> Any:
        """``thing``, or the model that builds it if it is the class of a plain network."""
        is_network = isinstance(thing, type) and issubclass(thing, nn.Module)
        return model_of(thing) if is_network else thing


MODELS: Registry[Model] = ModelRegistry("models")
