"""From what a node's training added to its model to the gradients of its batches."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from auditing.reconstruction.updates import ObservedUpdate
from simulator.core.training import TrainingSettings


@dataclass(frozen=True)
class ObservedGradient:
    """What an update tells of gradients.

    Attributes:
        start: float64 [parameters], the model that the round began with, as far as the observer knows.
        end: float64 [parameters], the model after the local steps.
        total: float64 [parameters], the gradients of the round's steps, added up; each is that of a batch's mean loss.
        rounding: float64 [parameters], how far ``total`` may be off, as models were rounded.
        steps: how many there were.
        mixture: why ``total`` holds more than this round's gradients, as the end of a sentence; "" if it does not.
    """

    start: Tensor
    end: Tensor
    total: Tensor
    rounding: Tensor
    steps: int
    mixture: str = ""


def observed_gradient(
    update: ObservedUpdate,
    training: TrainingSettings,
    rate: float,
    before: tuple[ObservedUpdate, float] | None = None,
) -> ObservedGradient:
    """What ``update`` tells of the gradients of the round.

    Plain SGD adds -lr g a step. With weight decay, lr * decay * x is taken out: exactly, of one step. Momentum begins
    at 0, so that the first round's only step is as it would be without; of a later round with one step, what
    the buffer has added is taken out by means of the update of the round ``before``: with v the buffer,
    v_t = momentum v_(t-1) + g_t and u_t = -lr_t v_t. What cannot be taken out is left, and said.

    Args:
        update: of a node in a round.
        training: the node's.
        rate: the learning rate of the round.
        before: the node's update in the round before, and its learning rate, where these are known.
    """
    optimizer, steps = training.optimizer, training.local_steps
    total, rounding, mixture = -update.change / rate, update.rounding / rate, ""
    if optimizer.momentum and (update.round > 1 or steps > 1):
        if before is not None and steps == 1 and not optimizer.nesterov:
            earlier, earlier_rate = before
            total = total + optimizer.momentum * earlier.change / earlier_rate
            rounding = rounding + optimizer.momentum * earlier.rounding / earlier_rate
        else:
            mixture = "momentum brings in gradients of earlier batches"
    elif optimizer.nesterov:
        total, rounding = total / (1 + optimizer.momentum), rounding / (1 + optimizer.momentum)
    if optimizer.weight_decay:
        total = total - steps * optimizer.weight_decay * update.start
        if steps > 1:
            mixture = mixture or "weight decay acted on models between the steps, which are not known"
    return ObservedGradient(update.start, update.start + update.change, total, rounding, steps, mixture)
