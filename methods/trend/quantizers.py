"""Input quantizers on a fixed grid: what becomes of a pixel does not depend on the other images of its batch.

In the released code the grid spans the extremes of the batch, so that it moves with a perturbation and with the images
beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from simulator.core.input_transform import InputTransform

FULL = 255.0  # the brightest pixel
KERNEL = ((-1.0, -2.0, -1.0), (-2.0, 16.0, -2.0), (-1.0, -2.0, -1.0))  # of the released halftone
TIES = 1e-3  # added to its outcome, in the released code too: what is neither above nor below becomes white


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
    """White where 3x3 neighbours, a pixel itself most of all, are brighter than the image on the whole, else black.

    As in the released code: of each image the mean over pixels and channels is taken off and the rest is divided by its
    range; then each channel is convolved with the kernel 16 / -2 / -1 (centre, sides, corners), with zeros beyond the
    border, and the sign of the outcome decides. The kernel sums to 4, so that edges are sharpened and flat areas keep
    their side of the mean. The stand-in is a sigmoid of the outcome.
    """

    def __call__(self, pixels: Tensor) -> Tensor:
        """Black and white; the gradient is 0."""
        return FULL * (_sharpened(pixels) > 0).to(pixels)

    def stand_in(self, pixels: Tensor) -> Tensor:
        """Gray where the outcome is small."""
        return FULL * torch.sigmoid(_sharpened(pixels))

    def __str__(self) -> str:
        return "halftone"


def _sharpened(pixels: Tensor) -> Tensor:
    """float [B, height, width, channels]; a little above 0 where an image is of one colour."""
    each = (1, 2, 3)
    centred = pixels - pixels.mean(each, keepdim=True)
    span = (pixels.amax(each, keepdim=True) - pixels.amin(each, keepdim=True)).clamp(min=1.0)
    kernel = pixels.new_tensor(KERNEL).expand(pixels.shape[3], 1, 3, 3)
    return conv2d((centred / span).movedim(-1, 1), kernel, padding=1, groups=len(kernel)).movedim(1, -1) + TIES
