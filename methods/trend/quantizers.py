"""Input quantizers on a fixed grid: what becomes of a pixel does not depend on the other images of its batch.

In the released code the grid spans the extremes of the batch, so that it moves with a perturbation and with the images
beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from simulator.core.input_transform import InputTransform

FULL = 255.0  # the brightest pixel
SLOPE = 1 / 16  # of the sigmoid that stands in for the sign: 1 at differences of half a dozen per cent


@dataclass(frozen=True)
class Uniform(InputTransform):
    """2^bits levels, evenly spaced from black to white.

    The range is cut into 2^bits cells of equal width, as by the released mid-rise quantizer, and cell k becomes
    k / (2^bits - 1) of white. No pixel moves by more than one cell, and 8 bits leave 8-bit images as they are. The
    stand-in is the identity.
    """

    bits: int

    def __call__(self, pixels: Tensor) -> Tensor:
        """The levels; the gradient is 0."""
        cells = int(2**self.bits)
        cell = (pixels * (cells / FULL)).floor().clamp(0, cells - 1)
        return cell * (FULL / (cells - 1))

    def __str__(self) -> str:
        return f"{self.bits} bit" if self.bits == 1 else f"{self.bits} bits"


@dataclass(frozen=True)
class Halftone(InputTransform):
    """White where a pixel is brighter than the mean of its 3x3 neighbourhood, channel by channel, and black elsewhere.

    The stand-in is a sigmoid of the difference. Beyond the border, pixels are as at the border.
    """

    def __call__(self, pixels: Tensor) -> Tensor:
        """Black and white; the gradient is 0."""
        return FULL * (_detail(pixels) > 0).to(pixels)

    def stand_in(self, pixels: Tensor) -> Tensor:
        """Gray where the difference is small."""
        return FULL * torch.sigmoid(SLOPE * _detail(pixels))

    def __str__(self) -> str:
        return "halftone"


def _detail(pixels: Tensor) -> Tensor:
    """Each pixel less the mean of its neighbourhood, [B, height, width, channels]; exactly 0 where all are equal."""
    planes = pad(pixels.movedim(-1, 1), (1, 1, 1, 1), mode="replicate")
    kernel = planes.new_full((3, 3), -1.0)
    kernel[1, 1] = 8.0
    return conv2d(planes, kernel.expand(planes.shape[1], 1, 3, 3), groups=planes.shape[1]).movedim(1, -1) / 9
