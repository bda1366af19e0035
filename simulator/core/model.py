"""Networks chosen by name."""

from __future__ import annotations

from torch import nn

from simulator.core.registry import Part, Registry


class Model(Part):
    """Builds a network; override `build`."""

    def build(self, shape: tuple[int, int, int], classes: int) -> nn.Module:
        """A freshly initialised network.

        Args:
            shape: (height, width, channels) of the images.
            classes: number of outputs.
        """
        raise TypeError(f"{type(self).__name__} must override build")


MODELS: Registry[Model] = Registry("models")
