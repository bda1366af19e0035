"""Samples whose gradient looks like the one that was seen: found by optimization, nothing about them is certain.

Minimized is 1 - cosine(g(x), g) + tv * TV(x) over x, by Adam on the sign of the gradient, within the range of the data,
with the rate divided by ten after 3/8, 5/8 and 7/8 of the iterations (Geiping et al. 2020, arXiv:2003.14053). Of
several restarts the one with the smallest loss is taken: the attack does not know which is right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, PositiveInt
from torch import Tensor
from torch.func import functional_call

from auditing.reconstruction.label_counts import label_counts
from auditing.reconstruction.scene import Recovered, Scene
from simulator.core.registry import Settings

MATCHED = 0.1  # of 1 - cosine, above which no sample with such a gradient has been found
DROPS, FACTOR = (3 / 8, 5 / 8, 7 / 8), 0.1
POINT_LR = 0.01  # of the point between the ends of a round, from 0 to 1


class MatchingSettings(Settings):
    """How long, how smooth, and where the gradient is taken.

    Attributes:
        iterations: of a restart.
        restarts: from other random images.
        lr: of Adam, on inputs as the network takes them.
        tv: weight of the total variation, of images.
        steps: what several local steps are taken for: "one", a gradient at the model that the round began with, or
            "surrogate", one at a point between that and the model after them, which is learned (SME, arXiv:2306.00127).
        samples: at most so many are looked for at once.
    """

    iterations: PositiveInt = 2000
    restarts: PositiveInt = 2
    lr: float = Field(0.1, gt=0)
    tv: float = Field(0.01, ge=0)
    steps: Literal["one", "surrogate"] = "surrogate"
    samples: PositiveInt = 32


def gradient_matching(scene: Scene, settings: MatchingSettings) -> Recovered:
    """As many samples as the round's batches held, at most `MatchingSettings.samples`; none is certified.

    Where what was found has another gradient than the one that was seen, by more than `MATCHED`, `Recovered.limit` says
    so: the search was too short or too smooth, or labels were wrong, or there is no such sample, as under noise.
    """
    target = scene.gradient.total
    if not bool(target.any()):
        return Recovered.nothing(scene, "the gradient is 0")
    if not isinstance(scene.public, Tensor) or not scene.public.is_floating_point():
        return Recovered.nothing(scene, "inputs are no numbers that could be moved a little")
    labels = _labels(scene, min(scene.samples, settings.samples))
    if labels is None:
        return Recovered.nothing(scene, "nothing tells the labels, without which no gradient can be matched")
    found = [_restart(scene, settings, labels, target) for _ in range(settings.restarts)]
    inputs, _, apart = min(found, key=lambda each: each[1])
    limit = f"no sample with such a gradient was found in {settings.iterations} iterations" if apart > MATCHED else ""
    return Recovered(inputs, torch.zeros(len(inputs), dtype=torch.bool), labels, limit)


def _labels(scene: Scene, most: int) -> Tensor | None:
    if scene.labels is not None:
        return scene.labels[:most]
    counts = label_counts(scene)
    if counts is None:
        return None
    labels = np.repeat(np.arange(len(counts)), counts)
    return torch.from_numpy(labels if len(labels) <= most else labels[np.linspace(0, len(labels) - 1, most, dtype=int)])


def _restart(scene: Scene, settings: MatchingSettings, labels: Tensor, target: Tensor) -> tuple[Tensor, float, float]:
    """What one restart ends with, float64 [K, ...], its loss, and how far apart its gradient and the target are."""
    assert isinstance(scene.public, Tensor)  # the caller has looked
    begun = scene.rng.normal(size=(len(labels), *scene.public.shape[1:]))
    inputs = torch.from_numpy(begun).requires_grad_()
    between = torch.full((), 0.0 if settings.steps == "one" or scene.gradient.steps == 1 else 0.5, dtype=torch.float64)
    learned = [inputs] if not between else [inputs, between.requires_grad_()]
    groups: list[dict[str, Any]] = [{"params": [inputs]}, {"params": learned[1:], "lr": POINT_LR}]
    optimizer = torch.optim.Adam(groups, settings.lr)
    drops = [round(share * settings.iterations) for share in DROPS]
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, drops, FACTOR)
    form = scene.form
    gradient_of, best, least, apart = _gradients(scene, labels), inputs.detach().clone(), float("inf"), float("inf")
    for _ in range(settings.iterations):
        given = form.relaxed(inputs) if form else inputs
        distance = _distance(gradient_of(given, between), target)
        loss = distance + settings.tv * total_variation(given)
        if loss.item() < least:
            best, least, apart = inputs.detach().clone(), loss.item(), distance.item()
        moved = torch.autograd.grad(loss, learned)
        inputs.grad = moved[0].sign()
        if len(learned) > 1:
            between.grad = moved[1]
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            between.clamp_(0, 1)
            if scene.lowest is not None and scene.highest is not None:
                inputs.copy_(inputs.maximum(scene.lowest).minimum(scene.highest))
    return form.settled(best) if form else best, least, apart


def _gradients(scene: Scene, labels: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """A function of inputs and of where between the round's ends, for the gradient there, float64 [parameters]."""
    network, losses = scene.network, scene.node.data.task.losses
    start, change = scene.gradient.start, scene.gradient.end - scene.gradient.start

    def gradient_of(inputs: Tensor, between: Tensor) -> Tensor:
        flat = start + between * change
        at = flat if flat.requires_grad else flat.clone().requires_grad_()
        outputs = functional_call(network.module, network.named_views(at), (inputs,))
        (found,) = torch.autograd.grad(losses(outputs, labels).mean(), at, create_graph=True)
        return found

    return gradient_of


def _distance(one: Tensor, other: Tensor) -> Tensor:
    return 1 - torch.nn.functional.cosine_similarity(one, other, dim=0, eps=1e-30)


def total_variation(images: Tensor) -> Tensor:
    """The mean absolute difference of neighbouring pixels, down and across, of [K, channels, height, width]; else 0."""
    if images.dim() != 4:
        return images.new_zeros(())
    parts: Sequence[Tensor] = [images.diff(dim=side).abs().mean() for side in (2, 3) if images.shape[side] > 1]
    return torch.stack(list(parts)).sum() if parts else images.new_zeros(())
