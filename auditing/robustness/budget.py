"""What an attacker may spend, and how far it may go."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

WHITE = 255.0


@dataclass(frozen=True)
class PerturbationBudget:
    """Of one attack.

    Attributes:
        eps: the largest change of a pixel, as a share of white.
        steps: gradients at an image, in each restart.
        restarts: of attacks that start at random.
        queries: answers that an attack without gradients may ask for.
        patient: whether to spend all of it on every image; else an image that is answered wrongly is left at that.
    """

    eps: float
    steps: int = 40
    restarts: int = 1
    queries: int = 500
    patient: bool = False

    @property
    def radius(self) -> float:
        """``eps`` in pixels."""
        return WHITE * self.eps

    def within(self, moved: Tensor, images: Tensor) -> Tensor:
        """``moved``, brought back into the ball around ``images`` and between black and white."""
        low, high = (images - self.radius).clamp(min=0), (images + self.radius).clamp(max=WHITE)
        return torch.clamp(moved, low, high)

    def anywhere(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """A uniformly random place in the ball."""
        shift = torch.from_numpy(rng.uniform(-self.radius, self.radius, tuple(images.shape)))
        return self.within(images + shift.to(images), images)
