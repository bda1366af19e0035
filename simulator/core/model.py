"""Networks chosen by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from torch import nn

from simulator.core.registry import Part, Registry
from simulator.core.samples import Channel


class Model(Part, ABC):
    """Builds a network; override `build`.

    Attributes:
        has_exits: whether its networks are `simulator.core.multi_exit.MultiExit`.
    """

    has_exits: ClassVar[bool] = False

    @abstractmethod
    def build(self, shape: tuple[int, int, int], classes: int, channels: Sequence[Channel] = ()) -> nn.Module:
        """A freshly initialised network.

        Args:
            shape: (height, width, channels) of the images.
            classes: number of outputs.
            channels: what each channel of an image holds; empty for gray and RGB pictures.
        """


class ModelRegistry(Registry[Model]):
    """Models, and plain networks in the place of such; see `simulator.core.plain_network`."""

    or_else: ClassVar[str] = ", or from torch.nn.Module"

    def as_part(self, thing: Any) -> Any:
        """``thing``, or the model that builds it if it is the class of a plain network."""
        from simulator.core.plain_network import model_of  # which is a model itself

        is_network = isinstance(thing, type) and issubclass(thing, nn.Module)
        return model_of(thing) if is_network else thing


MODELS: Registry[Model] = ModelRegistry("models")
