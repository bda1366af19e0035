"""Canaries whose gradients are marks: single training samples that leave what audits look for in whatever a node sends.

Whenever such a sample is drawn, its whole gradient is a large multiple of a unit vector of its own, orthogonal to all
others', so that whatever clips gradients leaves one clipping norm along it. From there on the mark takes the way of
every gradient, through noise, momentum, messages and mixing. Two kinds of unit vectors:

* an entry each of a block of parameters that no network reads: canaries disturb neither each other nor what is learnt.
  They are the Dirac canaries of Steinke, Nasr & Jagielski 2023 (arXiv:2305.08846), in parameters of their own;
* a random direction each among the parameters that are trained (Andrew et al. 2024, arXiv:2302.03098), here random
  signs on parameters that no other canary has: other samples' gradients hide them a little, learning is disturbed, and
  noise that is missing where the network is, and not in a block, is seen.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from simulator.core.errors import wrong
from simulator.core.seeding import generator

PARAMETER = "canary_block"
LENGTH = 1e6  # of a canary's gradient: any clip is far below


@dataclass(frozen=True)
class MarkedCanaries:
    """The canaries of all nodes, as those see them that train.

    Attributes:
        size: m, how many there are.
        entry: int64 [M], of each row of the training arrays its canary's number, or -1 where it is none.
        signs: by round, over and over, with which sign canaries contribute; 1 or -1.
        directions: the seed of their random directions; None: they are in a block.
    """

    size: int
    entry: NDArray[np.int64]
    signs: tuple[int, ...]
    directions: int | None = None

    def marks(self, parameters: int, block: slice | None) -> Marks:
        """Their marks among so many ``parameters``, of which ``block`` is theirs.

        Raises:
            InputError: there are more random directions than parameters.
        """
        if self.directions is None:
            assert block is not None  # see `add_block`
            return BlockMarks(self, block)
        return DirectionMarks(self, parameters, self.directions)


class Marks(ABC):
    """Where the marks of canaries are among the parameters of a network."""

    def __init__(self, canaries: MarkedCanaries) -> None:
        self._canaries = canaries

    def among(self, index: Tensor) -> Tensor:
        """int64: the places in ``index``, int64 [B] as of `plant`, of samples that are canaries."""
        return torch.from_numpy(np.flatnonzero(self._canaries.entry[index.numpy()] >= 0))

    def plant(self, gradients: Tensor, index: Tensor, round: int) -> None:
        """Replace the gradients of canaries, in place.

        Args:
            gradients: float [B, parameters], sample by sample.
            index: int64 [B], the samples' rows of the training arrays.
            round: counted from 1.
        """
        entries, signs = self._canaries.entry[index.numpy()], self._canaries.signs
        rows = np.flatnonzero(entries >= 0)
        gradients[rows] = 0
        self._mark(gradients, rows, entries[rows], LENGTH * signs[(round - 1) % len(signs)])

    @abstractmethod
    def _mark(self, gradients: Tensor, rows: NDArray[np.int64], canaries: NDArray[np.int64], length: float) -> None:
        """Write the unit vectors of ``canaries``, times ``length``, into ``rows`` that are 0."""

    @abstractmethod
    def shown(self, parameters: Tensor) -> Tensor:
        """What ``parameters``, float [parameters], are along each canary's unit vector, float [m]."""


class BlockMarks(Marks):
    """An entry each of a block."""

    def __init__(self, canaries: MarkedCanaries, block: slice) -> None:
        super().__init__(canaries)
        self._block = block

    def _mark(self, gradients: Tensor, rows: NDArray[np.int64], canaries: NDArray[np.int64], length: float) -> None:
        gradients[rows, self._block.start + canaries] = length

    def shown(self, parameters: Tensor) -> Tensor:
        """Returns the block itself: a unit vector each is an entry each."""
        return parameters[self._block]


class DirectionMarks(Marks):
    """A random direction each: signs on k parameters that are drawn for it, over sqrt(k)."""

    def __init__(self, canaries: MarkedCanaries, parameters: int, seed: int) -> None:
        super().__init__(canaries)
        each = parameters // canaries.size
        if not each:
            what = f"{canaries.size} canaries, each with a direction of its own, are more than {parameters} parameters."
            raise wrong("data.canaries", what, "Take fewer canaries, or a larger model.")
        rng = generator(seed, "data.canaries.directions")
        self._own = rng.permutation(parameters)[: canaries.size * each].reshape(canaries.size, each)
        self._signs = torch.from_numpy((2 * rng.integers(0, 2, self._own.shape) - 1) / each**0.5)

    def _mark(self, gradients: Tensor, rows: NDArray[np.int64], canaries: NDArray[np.int64], length: float) -> None:
        gradients[rows[:, None], self._own[canaries]] = self._signs[canaries].to(gradients) * length

    def shown(self, parameters: Tensor) -> Tensor:
        """The inner products with the directions, float64."""
        return (parameters.double()[self._own] * self._signs.to(parameters.device)).sum(1)


def add_block(network: nn.Module, canaries: MarkedCanaries | None) -> nn.Module:
    """``network`` with a block of zeros for the ``canaries``; as it is where they need none."""
    if canaries is not None and canaries.directions is None:
        network.register_parameter(PARAMETER, nn.Parameter(torch.zeros(canaries.size)))
    return network
