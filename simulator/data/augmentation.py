"""Random crops and mirror images, for a whole batch at a time."""

from __future__ import annotations

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import pad

from simulator.core.registry import Settings


class Augmentation(Settings):
    """Random changes to training images, made anew for every batch; off by default.

    Attributes:
        crop: black pixels added on every side, from which a window of the original size is cut at random; 4 is usual
            for 32x32.
        flip: mirror each image left to right with probability one half.
    """

    crop: int = Field(default=0, ge=0)
    flip: bool = False

    @property
    def is_on(self) -> bool:
        """Whether anything is changed at all."""
        return bool(self.crop) or self.flip

    def __call__(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Augment a batch.

        Args:
            images: uint8 [B, height, width, channels].
            rng: drawn from only for what is switched on.

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
        if self.crop:
            down, right = rng.integers(2 * self.crop + 1, size=(2, batch, 1))
            rows, columns = rows + down, columns + right
            images = pad(images, (0, 0, self.crop, self.crop, self.crop, self.crop))
        which = torch.arange(batch, device=images.device)[:, None, None]
        return images[which, _on(images, rows)[:, :, None], _on(images, columns)[:, None, :]]


def _on(images: Tensor, positions: np.ndarray) -> Tensor:
    return torch.from_numpy(positions).to(images.device)
