"""Small networks for small images."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from pydantic import Field, PositiveInt
from torch import nn

from simulator.core.errors import wrong
from simulator.core.model import Model
from simulator.core.registry import PartSettings
from simulator.core.samples import Channel


class MLP(Model):
    """Fully connected layers with ReLU between them."""

    class Config(PartSettings):
        """The layers: ``hidden`` gives the widths between input and output."""

        name: str = "mlp"
        hidden: tuple[PositiveInt, ...] = (128,)

    config: Config

    def build(self, shape: tuple[int, int, int], classes: int, channels: Sequence[Channel] = ()) -> nn.Module:
        """The network; 101,770 parameters for 28x28 images, 10 classes and 128 hidden units."""
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in pairwise((prod(shape), *self.config.hidden, classes)):
            layers += [nn.Linear(before, after), nn.ReLU()]
        return nn.Sequential(*layers[:-1])


class CNN(Model):
    """Two 3x3 convolutions, each with ReLU and 2x2 max pooling, and one linear layer."""

    class Config(PartSettings):
        """How wide it is: the second convolution is twice as wide as the first."""

        name: str = "cnn"
        width: int = Field(16, ge=1)

    config: Config

    def build(self, shape: tuple[int, int, int], classes: int, channels: Sequence[Channel] = ()) -> nn.Module:
        """The network; 20,490 parameters for 28x28x1 images, 10 classes and width 16."""
        height, width, depth = shape
        if min(height, width) < 4:
            raise wrong(
                "model", f"cnn halves the image twice, and these are {height}x{width}.", "Use mlp, or larger images."
            )
        first = self.config.width
        return nn.Sequential(
            *(nn.Conv2d(depth, first, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(first, 2 * first, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(2 * first * (height // 4) * (width // 4), classes)),
        )
