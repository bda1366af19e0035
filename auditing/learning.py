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
    network, optimizer = model.network, torch.optim.Adam(model.network.module.parameters(), RATE)
    network.module.eval()
    for _ in steps:
        rows = torch.from_numpy(rng.integers(len(samples), size=BATCH))
        inputs = model.preparation(samples.inputs_at(rows), network.dtype)
        network.differentiate(model.losses(inputs, targets[rows]).mean())
        optimizer.step()


def copied(network: FlatModule, precision: Precision) -> FlatModule:
    """Another one of the same, for a thread: signals may hang hooks into theirs, and training moves parameters."""
    return FlatModule(copy.deepcopy(network.module), precision)
