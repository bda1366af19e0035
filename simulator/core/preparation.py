"""From samples as they are stored to what a network is given."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch

from simulator.core.arrays import Arrays, mapped


class Preparation(ABC):
    """Turns stored samples into network input when a batch is taken; a sample's input depends on that sample alone."""

    @abstractmethod
    def __call__(self, stored: Arrays, dtype: torch.dtype = torch.float32) -> Arrays:
        """The network's input, in memory of its own.

        Args:
            stored: of B samples, as in `simulator.core.samples.Samples.inputs`.
            dtype: of what is continuous; whole numbers, such as tokens, stay int64.
        """


class AsStored(Preparation):
    """Nothing is done but to give floating-point arrays the network's type, and whole numbers int64."""

    def __call__(self, stored: Arrays, dtype: torch.dtype = torch.float32) -> Arrays:
        """The same values."""
        return mapped(stored, lambda array: array.to(dtype if array.is_floating_point() else torch.int64, copy=True))
