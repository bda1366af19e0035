"""Networks chosen by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from torch import nn

from simulator.core.registry import Part
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
