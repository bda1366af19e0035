"""Auto-PGD (Croce and Hein 2020, arXiv:2003.01690, algorithm 1): PGD that finds its own step sizes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from auditing.robustness.ascent import gradient
from auditing.robustness.budget import PerturbationBudget
from auditing.robustness.ensemble import Ensemble

MOMENTUM = 0.75  # alpha: the share of the new step in a move
RISING = 0.75  # rho: the share of steps between two looks that must raise the loss


def margin(ensemble: Ensemble, images: Tensor, labels: Tensor) -> Tensor:
    """The log of the mean softmax of the best other class over that of the label (the loss of Carlini-Wagner).

    Above 0, the answer by mean softmax is wrong.
    """
    logs = ensemble.log_probabilities(images)
    return logs.scatter(1, labels[:, None], -torch.inf).amax(1) - logs.gather(1, labels[:, None])[:, 0]


def apgd(
    ensemble: Ensemble, images: Tensor, labels: Tensor, budget: PerturbationBudget, rng: np.random.Generator
) -> Tensor:
    """On the margin, from random places; see `auditing.robustness.attacks`."""
    found = images.clone()
    for _ in range(budget.restarts):
        left = ensemble.right(found, labels).nonzero()[:, 0]
        if len(left):
            found[left] = _run(ensemble, images[left], labels[left], budget, rng)
    return found


def _run(
    ensemble: Ensemble, images: Tensor, labels: Tensor, budget: PerturbationBudget, rng: np.random.Generator
) -> Tensor:
    place = before = best = budget.anywhere(images, rng)
    loss, slope = _climbed(ensemble, place, labels)
    fooled = _Fooled(ensemble, place, labels)
    highest, best_slope, rises = loss, slope, torch.zeros_like(loss)
    size, halved, highest_then, last = torch.full_like(loss, 2 * budget.radius), loss > torch.inf, loss, 0
    looks = set(_looks(budget.steps))
    for number in range(1, budget.steps + 1):
        step = budget.within(place + _each(size) * slope.sign(), images)
        moved = place + MOMENTUM * (step - place) + (1 - MOMENTUM) * (place - before) if number > 1 else step
        before, place, previous = place, budget.within(moved, images), loss
        loss, slope = _climbed(ensemble, place, labels)
        rises, better = rises + (loss > previous), loss > highest
        highest = torch.where(better, loss, highest)
        best, best_slope = torch.where(_each(better), place, best), torch.where(_each(better), slope, best_slope)
        fooled.look(place)
        if number in looks:  # where it has stalled, go on from the best place in steps half as large
            stalled = (rises < RISING * (number - last)) | (~halved & (highest_then == highest))
            size, loss = torch.where(stalled, size / 2, size), torch.where(stalled, highest, loss)
            place, before = (torch.where(_each(stalled), best, other) for other in (place, before))
            slope = torch.where(_each(stalled), best_slope, slope)
            halved, highest_then, rises, last = stalled, highest, torch.zeros_like(rises), number
    return fooled.instead_of(best)


class _Fooled:
    """The first place of each image at which members' vote is wrong, which need not be that of the largest margin."""

    def __init__(self, ensemble: Ensemble, place: Tensor, labels: Tensor) -> None:
        self._ensemble, self._labels, self._first = ensemble, labels, place
        self._known = torch.zeros_like(labels, dtype=torch.bool)
        self.look(place)

    def look(self, place: Tensor) -> None:
        """At float [B, height, width, channels]; by mean softmax the margin tells as much, and nothing is done."""
        if self._ensemble.vote:
            new = ~self._known & ~self._ensemble.right(place, self._labels)
            self._first, self._known = torch.where(_each(new), place, self._first), self._known | new

    def instead_of(self, best: Tensor) -> Tensor:
        """``best``, where no such place was seen."""
        return torch.where(_each(self._known), self._first, best)


def _climbed(ensemble: Ensemble, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The loss, and its gradient."""
    images = images.detach().requires_grad_()
    loss = margin(ensemble, images, labels)
    return loss.detach(), gradient(loss.sum(), images)


def _looks(steps: int) -> Iterator[int]:
    """After which steps to look back: ever more often, from 22 % of them to 6 %."""
    at, gap = 0.22, 0.22
    while at <= 1:
        yield int(np.ceil(at * steps))
        gap = max(gap - 0.03, 0.06)
        at += gap


def _each(values: Tensor) -> Tensor:
    return values[:, None, None, None]
