"""Small networks for small images."""

from __future__ import annotations

from itertools import pairwise
from math import gcd, prod
from typing import Literal

from pydantic import Field, PositiveInt
from torch import nn

from simulator.core.errors import wrong
from simulator.core.model import Model
from simulator.core.registry import PartSettings
from simulator.core.specification import InputSpec, OutputSpec


class MLP(Model):
    """Fully connected layers with ReLU between them."""

    class Config(PartSettings):
        """The layers: ``hidden`` gives the widths between input and output."""

        name: str = "mlp"
        hidden: tuple[PositiveInt, ...] = (128,)

    config: Config

    takes = frozenset({"images", "table", "arrays"})

    def build(self, inputs: InputSpec, outputs: OutputSpec) -> nn.Module:
        """The network; 101,770 parameters for 28x28 images, 10 classes and 128 hidden units."""
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in pairwise((prod(inputs.shape), *self.config.hidden, outputs.width)):
            layers += [nn.Linear(before, after), nn.ReLU()]
        return nn.Sequential(*layers[:-1])


class CNN(Model):
    """Two 3x3 convolutions, each with ReLU and 2x2 max pooling, and one linear layer.

    With a ``norm``, each convolution is normalised: over groups of channels, eight of them if the width allows, or over
    the batch, with running statistics as state (see ``buffers`` of the experiment).
    """

    class Config(PartSettings):
        """How wide it is, the second convolution twice as wide as the first, and how it normalises."""

        name: str = "cnn"
        width: int = Field(16, ge=1)
        norm: Literal["none", "group", "batch"] = "none"

    config: Config

    takes = frozenset({"images"})

    def build(self, inputs: InputSpec, outputs: OutputSpec) -> nn.Module:
        """The network; 20,490 parameters for 28x28x1 images, 10 classes and width 16."""
        height, width, depth = inputs.shape
        if min(height, width) < 4:
            raise wrong(
                "model", f"cnn halves the image twice, and these are {height}x{width}.", "Use mlp, or larger images."
            )
        first = self.config.width
        return nn.Sequential(
            *(nn.Conv2d(depth, first, 3, padding=1), *self._norm(first), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(first, 2 * first, 3, padding=1), *self._norm(2 * first), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(2 * first * (height // 4) * (width // 4), outputs.width)),
        )

    def _norm(self, channels: int) -> list[nn.Module]:
        """What normalises the output of a convolution: nothing, or one layer."""
        if self.config.norm == "none":
            return []
        batch = self.config.norm == "batch"
        return [nn.BatchNorm2d(channels) if batch else nn.GroupNorm(gcd(8, channels), channels)]
