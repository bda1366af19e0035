"""Samples as reconstructions are compared with them: the victim's, and those that an attacker has anyway."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulator.core.arrays import Arrays
from simulator.core.errors import wrong
from simulator.core.node import Node
from simulator.core.normalizer import Normalizer
from simulator.core.samples import Samples
from simulator.core.seeding import generator

Floats = NDArray[np.float64]
PUBLIC = 2000  # samples that an attacker has, at most


@dataclass(frozen=True)
class Compared:
    """What everybody is compared with; inputs are as the network takes them.

    Attributes:
        public: what an attacker has: samples of the test set, in its own order drawn by the run's seed.
        others: further ones of the test set, to hide a victim's samples among.
        normalizer: of images; None of other inputs.
    """

    public: Samples
    others: Samples
    normalizer: Normalizer | None

    @classmethod
    def of(cls, node: Node, other: Node) -> Self:
        """From the common test set, one half for each purpose; without one, from the own test set of an ``other`` node.

        Raises:
            InputError: there are no two samples that nobody trained on.
        """
        test = node.data.test if len(node.data.test) else other.data.own_test
        if test is None or len(test) < 2:
            what = "there are no test samples that an attacker could have, to compare reconstructions with."
            raise wrong("data.test_samples", what, "Run with test samples.")
        order = torch.from_numpy(generator(node.seed, "audit.reconstruction.public").permutation(len(test)))
        half = len(test) // 2
        known = node.data.preparation if isinstance(node.data.preparation, Normalizer) else None
        return cls(test.subset(order[:half][:PUBLIC]), test.subset(order[half:]), known)

    def shown(self, inputs: Tensor) -> Floats:
        """Inputs of the network, float64 [K, ...], as they are compared: of images, what is shown, from 0 to 1."""
        if self.normalizer is None:
            return np.asarray(inputs.double().numpy())
        mean, std = (each.double()[:, None, None] for each in (self.normalizer.mean, self.normalizer.std))
        return np.asarray((inputs.double() * std + mean).clamp(0, 1).numpy())

    def bounds(self) -> tuple[Tensor, Tensor] | tuple[None, None]:
        """The least and the largest value of an image as the network takes it, float64 [channels, 1, 1] each."""
        if self.normalizer is None or self.normalizer.transform is not None:
            return None, None
        mean, std = (each.double()[:, None, None] for each in (self.normalizer.mean, self.normalizer.std))
        return -mean / std, (1 - mean) / std


def inputs_of(node: Node, samples: Samples) -> Arrays:
    """``samples`` as the network takes them, in float64."""
    return node.data.preparation(samples.inputs_at(torch.arange(len(samples))), torch.float64)
