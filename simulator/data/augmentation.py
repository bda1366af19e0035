"""Random crops and mirror images, for a whole batch at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import pad

from simulator.core.channel import Channel
from simulator.core.registry import Settings


class Augmentation(Settings):
    """Random changes to training images, made anew for every batch; off by default.

    Attributes:
        crop: black pixels added on every side, from which a window of the original size is cut at random; 4 is usual
            for 32x32. Channels that declare another zero are filled with that.
        flip: mirror each image left to right with probability one half; horizontal displacements turn their sign.
    """

    crop: int = Field(default=0, ge=0, le=4096)
    flip: bool = False

    @property
    def is_on(self) -> bool:
        """Whether anything is changed at all."""
        return bool(self.crop) or self.flip

    def __call__(self, images: Tensor, rng: np.random.Generator, channels: Sequence[Channel] = ()) -> Tensor:
        """Augment a batch.

        Args:
            images: uint8 [B, height, width, channels].
            rng: drawn from only for what is switched on.
            channels: what each channel holds; empty for gray and RGB pictures.

        Returns:
            uint8 [B, height, width, channels]; ``images`` itself where everything is off.
        """
        if not self.is_on:
            return images
        batch, height, width, _ = images.shape
        rows, columns = np.tile(np.arange(height), (batch, 1)), np.tile(np.arange(width), (batch, 1))
        if self.flip:
            mirrored = rng.random(batch) < 0.5
            columns[mirrored] = columns[mirrored, ::-1]
            images = _with_signs_turned(images, mirrored, channels)
        if self.crop:
            down, right = rng.integers(2 * self.crop + 1, size=(2, batch, 1))
            rows, columns = rows + down, columns + right
            images = _padded(images, self.crop, channels)
        which = torch.arange(batch, device=images.device)[:, None, None]
        return images[which, _on(images, rows)[:, :, None], _on(images, columns)[:, None, :]]


def _on(images: Tensor, positions: np.ndarray) -> Tensor:
    return torch.from_numpy(positions).to(images.device)


def _with_signs_turned(images: Tensor, mirrored: np.ndarray, channels: Sequence[Channel]) -> Tensor:
    """Displacements to the right become displacements to the left in the images that are mirrored."""
    places = [place for place, channel in enumerate(channels) if channel.horizontal]
    if not places:
        return images
    zeros = torch.tensor([channels[place].zero for place in places], device=images.device)
    values, turned = images[..., places], images.clone()
    opposite = (2 * zeros - values).clamp(0, 255).to(torch.uint8)
    turned[..., places] = torch.where(_on(images, mirrored)[:, None, None, None], opposite, values)
    return turned


def _padded(images: Tensor, crop: int, channels: Sequence[Channel]) -> Tensor:
    sides = (0, 0, crop, crop, crop, crop)
    if not any(channel.zero for channel in channels):
        return pad(images, sides)
    zeros = torch.tensor([channel.zero for channel in channels], dtype=torch.uint8, device=images.device)
    return pad(images - zeros, sides) + zeros  # uint8 wraps around, so what lies inside comes back
