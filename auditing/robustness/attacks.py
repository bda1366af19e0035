"""Attacks by gradients: images within a budget of given ones, made to be answered wrongly.

``attack(ensemble, images, labels, budget, rng)`` gives such images, float [B, height, width, channels].
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from auditing.robustness.ascent import Ascent, a_gd, d_ag, of_mean_softmax, u_gd
from auditing.robustness.budget import PerturbationBudget
from auditing.robustness.ensemble import Ensemble

Attack = Callable[[Ensemble, Tensor, Tensor, PerturbationBudget, np.random.Generator], Tensor]
REACH = 2.5  # all steps together lead that many radii far (Madry et al. 2018, arXiv:1706.06083)
DECAY = 1.0  # of momentum (Dong et al. 2018)
LOOK = 5  # steps from one look at which images are answered wrongly to the next


def fgsm(
    ensemble: Ensemble, images: Tensor, labels: Tensor, budget: PerturbationBudget, rng: np.random.Generator
) -> Tensor:
    """One step to the edge of the ball (Goodfellow et al. 2015, arXiv:1412.6572)."""
    direction = of_mean_softmax(ensemble, images, labels).sign()
    return budget.within(images + budget.radius * direction, images)


def iterated(
    ascent: Ascent,
    ensemble: Ensemble,
    images: Tensor,
    labels: Tensor,
    budget: PerturbationBudget,
    rng: np.random.Generator,
    *,
    momentum: bool = False,
) -> Tensor:
    """Steps along the sign of ``ascent``; from random places (PGD, Madry et al.), or from the images with momentum.

    MI-FGSM (Dong et al. 2018, arXiv:1710.06081) adds up directions of L1 norm 1.
    """
    found = images.clone()
    for _ in range(1 if momentum else budget.restarts):
        left = ensemble.right(found, labels).nonzero()[:, 0]
        start = images[left] if momentum else budget.anywhere(images[left], rng)
        found[left] = _climb(ascent, ensemble, images[left], labels[left], budget, start, momentum)
    return found


def _climb(
    ascent: Ascent,
    ensemble: Ensemble,
    images: Tensor,
    labels: Tensor,
    budget: PerturbationBudget,
    start: Tensor,
    momentum: bool,
) -> Tensor:
    found, velocity, step = start.clone(), torch.zeros_like(images), REACH * budget.radius / budget.steps
    on = torch.arange(len(images))
    for number in range(budget.steps):
        if number % LOOK == 0 and not budget.patient:
            on = on[ensemble.right(found[on], labels[on])]
        if len(on) == 0:
            break
        direction = ascent(ensemble, found[on], labels[on])
        if momentum:
            size = direction.abs().sum((1, 2, 3), keepdim=True).clamp(min=torch.finfo(direction.dtype).tiny)
            velocity[on] = direction = DECAY * velocity[on] + direction / size
        found[on] = budget.within(found[on] + step * direction.sign(), images[on])
    return found


pgd: Attack = partial(iterated, of_mean_softmax)
mi_fgsm: Attack = partial(iterated, of_mean_softmax, momentum=True)
by_dominant: Attack = partial(iterated, d_ag)
by_votes: Attack = partial(iterated, a_gd)
by_unanimity: Attack = partial(iterated, u_gd)
