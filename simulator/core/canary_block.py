"""A block of parameters that no network reads, in which single training samples leave marks that audits look for.

Each canary has an entry of its own. Whenever the sample is drawn, its whole gradient is a large multiple of that
entry's unit vector, so that whatever clips gradients leaves one clipping norm there, and nothing anywhere else:
canaries disturb neither each other nor what is learnt. From there on the entry takes the way of every parameter,
through noise, momentum, messages and mixing. They are the Dirac canaries of Steinke, Nasr & Jagielski 2023
(arXiv:2305.08846), in parameters of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

PARAMETER = "canary_block"
LENGTH = 1e6  # of a canary's gradient: any clip is far below


@dataclass(frozen=True)
class CanaryBlock:
    """The canaries of all nodes, as those see them that train.

    Attributes:
        size: m, the entries of the block.
        entry: int64 [M], of each row of the training arrays its entry, or -1 where it is no canary.
        signs: by round, over and over, with which sign canaries contribute; 1 or -1.
    """

    size: int
    entry: NDArray[np.int64]
    signs: tuple[int, ...]

    def plant(self, gradients: Tensor, block: slice, index: Tensor, round: int) -> None:
        """Replace the gradients of canaries, in place.

        Args:
            gradients: float [B, parameters], sample by sample.
            block: where the block is in the parameters.
            index: int64 [B], the samples' rows of the training arrays.
            round: counted from 1.
        """
        entries = self.entry[index.numpy()]
        rows = np.flatnonzero(entries >= 0)
        gradients[rows] = 0
        gradients[rows, block.start + entries[rows]] = LENGTH * self.signs[(round - 1) % len(self.signs)]


def add_block(network: nn.Module, canaries: CanaryBlock | None) -> nn.Module:
    """``network`` with a block of zeros for the ``canaries``; as it is where there are none."""
    if canaries is not None:
        network.register_parameter(PARAMETER, nn.Parameter(torch.zeros(canaries.size)))
    return network
