"""How an audit trains networks of its own, which it asks what a sample would look like to them."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from auditing.attacks.probed_model import ProbedModel
from simulator.core.flat_module import FlatModule, Precision
from simulator.core.samples import Samples

BATCH, RATE = 32, 1e-3  # of Adam
DECAYS, NOTHING = (0.9, 0.999), 1e-8  # likewise: of the moments of gradients, and what is added to a root of them


def passes(number: int, samples: int) -> int:
    """How many steps so many passes over ``samples`` take."""
    return math.ceil(number * samples / BATCH)


def learn(
    model: ProbedModel, samples: Samples, targets: Tensor, steps: Iterable[object], rng: np.random.Generator
) -> None:
    """Train the parameters that are bound to the network of ``model``, by Adam, in evaluation mode.

    Args:
        model: whose task says what the loss is.
        samples: to learn from, N.
        targets: [N, ...], what they are to be taken for.
        steps: one for each step.
        rng: draws batches, with replacement.
    """
    network = model.network
    network.module.eval()
    adam = Adam(network)
    for _ in steps:
        rows = torch.from_numpy(rng.integers(len(samples), size=BATCH))
        inputs = model.preparation(samples.inputs_at(rows), network.dtype)
        network.differentiate(model.losses(inputs, targets[rows]).mean())
        adam.step()


class Adam:
    """Kingma and Ba 2015 (arXiv:1412.6980, algorithm 1), at the rate `RATE`; step by step what torch's own does.

    That one loads torch's compiler when it is made, which takes seconds.

    Args:
        network: whose bound parameters are moved, in place, by its `FlatModule.gradient`.
    """

    def __init__(self, network: FlatModule) -> None:
        self._network, self._steps = network, 0
        self._mean, self._square = torch.zeros_like(network.bound), torch.zeros_like(network.bound)

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters once."""
        gradient, (first, second) = self._network.gradient, DECAYS
        self._steps += 1
        self._mean.lerp_(gradient, 1 - first)
        self._square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        spread = (self._square.sqrt() / math.sqrt(1 - second**self._steps)).add_(NOTHING)
        self._network.bound.addcdiv_(self._mean, spread, value=-RATE / (1 - first**self._steps))


def copied(network: FlatModule, precision: Precision) -> FlatModule:
    """Another one of the same, for a thread: signals may hang hooks into theirs, and training moves parameters."""
    return FlatModule(copy.deepcopy(network.module), precision)
