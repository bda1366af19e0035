"""Choosing among changed copies of a model by their accuracy on samples kept for that."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from simulator.core.buffers.layout import Buffers
from simulator.core.flat_module import FlatModule
from simulator.core.samples import NodeData, Samples
from simulator.training.evaluation import evaluate

UNCHANGED = -1


class Selection(NamedTuple):
    """What was chosen.

    Attributes:
        place: which candidate, or -1 for the model as it was.
        parameters: float [parameters], of what was chosen.
        before: accuracy of the model as it was.
        accuracies: float [candidates].
    """

    place: int
    parameters: Tensor
    before: float
    accuracies: NDArray[np.float64]

    @property
    def is_changed(self) -> bool:
        """Whether a candidate was better than the model."""
        return self.place != UNCHANGED

    @property
    def after(self) -> float:
        """Accuracy of what was chosen; never below ``before``."""
        return float(self.accuracies[self.place]) if self.is_changed else self.before


def select(
    module: FlatModule,
    model: Tensor,
    candidates: Iterable[Tensor],
    samples: Samples,
    data: NodeData,
    buffers: Buffers | None = None,
) -> Selection:
    """The first of the candidates that are best on ``samples``, or ``model`` if none is better than it.

    Args:
        module: computes the models.
        model: float [parameters].
        candidates: float [parameters] each; made one by one, and only the best is kept.
        samples: labelled.
        data: of the node, for the kind of its samples and its task.
        buffers: the node's, with which all are judged; None where its network keeps no state.
    """
    headline = data.task.headline
    before = evaluate(module, model, samples, data, buffers)[headline]
    place, chosen, best, accuracies = UNCHANGED, model, before, list[float]()
    for number, candidate in enumerate(candidates):
        accuracies.append(evaluate(module, candidate, samples, data, buffers)[headline])
        if accuracies[-1] > best:
            place, chosen, best = number, candidate, accuracies[-1]
    return Selection(place, chosen, before, np.array(accuracies, dtype=np.float64))
