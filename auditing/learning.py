"""How an audit trains networks of its own, which it asks what a sample would look like to them."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor
from torch.optim.adam import adam

from auditing.attacks.probed_model import ProbedModel
from simulator.core.flat_module import FlatModule, Precision
from simulator.core.samples import Samples

BATCH, RATE = 32, 1e-3  # of Adam
DECAYS, EPS = (0.9, 0.999), 1e-8  # likewise, as in Kingma and Ba 2015 (arXiv:1412.6980)


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
    """torch's own Adam of one vector of parameters, at the rate `RATE`.

    Its function, since `torch.optim.Adam` loads torch's compiler when it is made, which takes seconds.

    Args:
        network: whose bound parameters are moved, in place, by its `FlatModule.gradient`.
    """

    def __init__(self, network: FlatModule) -> None:
        self._network, self._steps = network, torch.tensor(0.0)
        self._mean, self._square = torch.zeros_like(network.bound), torch.zeros_like(network.bound)

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters once."""
        network, (beta1, beta2) = self._network, DECAYS
        adam(
            [network.bound],
            [network.gradient],
            [self._mean],
            [self._square],
            [],  # maxima, which AMSGrad would keep
            [self._steps],
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=RATE,
            weight_decay=0.0,
            eps=EPS,
            maximize=False,
        )


def copied(network: FlatModule, precision: Precision) -> FlatModule:
    """Another one of the same, for a thread: signals may hang hooks into theirs, and training moves parameters."""
    return FlatModule(copy.deepcopy(network.module), precision)
