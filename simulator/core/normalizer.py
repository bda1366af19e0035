"""How images become model input."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from simulator.core.arrays import Arrays
from simulator.core.input_transform import InputTransform
from simulator.core.preparation import Preparation


@dataclass(frozen=True)
class Normalizer(Preparation):
    """Turns uint8 images into model input: (T(image) / 255 - mean) / std, channel by channel.

    Attributes:
        mean: float [channels], of images scaled to [0, 1].
        std: float [channels], likewise.
        transform: T, what a node does to its images first; None: nothing.
    """

    mean: Tensor
    std: Tensor
    transform: InputTransform | None = None

    def __call__(self, stored: Arrays, dtype: torch.dtype = torch.float32) -> Tensor:
        """uint8 [B, height, width, channels] to ``dtype`` [B, channels, height, width], channels-last in memory."""
        assert isinstance(stored, Tensor)  # images are one array
        scale, shift = self._affine
        values = stored.to(dtype)
        values = self.transform(values) if self.transform else values
        return values.mul_(scale.to(dtype)).add_(shift.to(dtype)).permute(0, 3, 1, 2)

    def of_pixels(self, pixels: Tensor, *, smooth: bool = False) -> Tensor:
        """The same of float pixels [B, height, width, channels] from 0 to 255, to be differentiated.

        Args:
            pixels: need not be whole numbers.
            smooth: whether gradients go through the stand-in of the transform instead of the transform itself.
        """
        scale, shift = self._affine
        if self.transform:
            pixels = self.transform.smoothed(pixels) if smooth else self.transform(pixels)
        return (pixels * scale.to(pixels) + shift.to(pixels)).permute(0, 3, 1, 2)

    @cached_property
    def _affine(self) -> tuple[Tensor, Tensor]:
        return 1 / (255 * self.std), -self.mean / self.std
