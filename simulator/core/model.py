"""Networks chosen by name."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import nn

from simulator.core.registry import Part, Registry


class Model(Part, ABC):
    """Builds a network; override `build`."""

    @abstractmethod
    def build(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        """A freshly initialised network.

        Args:
            shape: (height, width, channels) of the images.
            classes: number of outputs.
        """


MODELS: Registry[Model] = Registry("models")
