"""The Square attack (Andriushchenko et al. 2020, arXiv:1912.00049): random squares, kept where the margin grows.

It asks for answers with their probabilities and for no gradient, so quantizers do not hide anything from it.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from auditing.robustness.apgd import margin
from auditing.robustness.budget import PerturbationBudget
from auditing.robustness.ensemble import Ensemble

FIRST = 0.8  # the first squares' share of the image
HALVED = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)  # shares of the queries after which it is half as large


@torch.no_grad()
def square(
    ensemble: Ensemble, images: Tensor, labels: Tensor, budget: PerturbationBudget, rng: np.random.Generator
) -> Tensor:
    """From vertical stripes on, until the answer is wrong; see `auditing.robustness.attacks`.

    The margin is that of the mean softmax. Where members vote it can be above 0 and the answer right, and the other way
    round; so what is wrong is told by the answer.
    """
    count, _, width, channels = images.shape
    found = budget.within(images + budget.radius * _signs((count, 1, width, channels), images, rng), images)
    best = margin(ensemble, found, labels)
    on = _right(ensemble, found, labels, best).nonzero()[:, 0]
    for query in range(1, budget.queries):
        if len(on) == 0:
            break
        tried = _with_squares(found[on], images[on], budget, query, rng)
        reached = margin(ensemble, tried, labels[on])
        right = _right(ensemble, tried, labels[on], reached)
        better = (reached > best[on]) | ~right
        found[on[better]], best[on[better]] = tried[better], reached[better]
        on = on[right]
    return found


def _right(ensemble: Ensemble, images: Tensor, labels: Tensor, margins: Tensor) -> Tensor:
    """Where the answer is right, bool [B], which without a vote the margins tell."""
    return ensemble.right(images, labels) if ensemble.vote else margins <= 0


def _with_squares(
    found: Tensor, images: Tensor, budget: PerturbationBudget, query: int, rng: np.random.Generator
) -> Tensor:
    """Each image with one square of its own, pushed to the edge of the ball in a sign a channel."""
    count, height, width, channels = images.shape
    share = FIRST / 2 ** sum(query > share * budget.queries for share in HALVED)
    side = min(max(1, round((share * height * width) ** 0.5)), height, width)
    rows, columns = (_within(length, side, count, rng) for length in (height, width))
    covered = (rows[:, :, None] & columns[:, None, :])[..., None]
    pushed = budget.within(images + budget.radius * _signs((count, 1, 1, channels), images, rng), images)
    return torch.where(covered, pushed, found)


def _within(length: int, side: int, count: int, rng: np.random.Generator) -> Tensor:
    """A mask of ``side`` neighbours somewhere in each row, bool [count, length]."""
    start = torch.from_numpy(rng.integers(0, length - side + 1, count))[:, None]
    places = torch.arange(length)
    return (places >= start) & (places < start + side)


def _signs(shape: tuple[int, ...], like: Tensor, rng: np.random.Generator) -> Tensor:
    return torch.from_numpy(rng.choice([-1.0, 1.0], shape)).to(like)
