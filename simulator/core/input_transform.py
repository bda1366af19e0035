"""What a node does to every image before its network sees it, in training, evaluation and all that asks the node."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor


class InputTransform(ABC):
    """Override `__call__`, and `stand_in` where the identity says little of it.

    Pixels are float [B, height, width, channels], from 0 to 255 and not always whole numbers; what comes out is a new
    tensor of that kind. Two that do the same are equal and have the same hash, as frozen data classes are.
    """

    @abstractmethod
    def __call__(self, pixels: Tensor) -> Tensor:
        """The transformed pixels, with the gradient that they truly have: 0 where they move in steps."""

    @abstractmethod
    def __str__(self) -> str:
        """A name for tables."""

    def stand_in(self, pixels: Tensor) -> Tensor:
        """Something smooth that behaves alike."""
        return pixels

    def smoothed(self, pixels: Tensor) -> Tensor:
        """The transformed pixels with the gradient of the stand-in (BPDA, Athalye et al. 2018, arXiv:1802.00420)."""
        smooth = self.stand_in(pixels)
        return smooth + (self(pixels) - smooth).detach()
