"""What a node sees of its training samples, and the scores that this gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from methods.ltc.correlation import Correlation
from methods.ltc.settings import LTCSettings
from simulator.core.nested_state import Stateful, load_nested, nested
from simulator.core.node import Node
from simulator.training.observations import Passing, SampleStatistics, evaluated
from simulator.training.trajectories import Trajectories, suspicion, visits

AT_ONCE = 1024  # looks in passing that are summed up together
COMPETING = {
    "forgetting": "forgetting",
    "el2n": "EL2N",
    "aum": "area under the margin",
    "cumulative_loss": "cumulative loss",
}


class Watch:
    """The observations of a node's N training samples, summed up.

    Attributes:
        passing: looks at samples on their way through training, under ``mode: byproduct``.
        correlation: of the samples' losses with those of their classes.
    """

    def __init__(self, node: Node, settings: LTCSettings) -> None:
        samples = len(node.data.train)
        self._is_byproduct = settings.mode == "byproduct"
        self.passing = Passing(node)
        self.correlation = Correlation(samples, differences=settings.trajectory == "differences")
        self._seen = Trajectories(samples, settings.early)
        self._loss = torch.full((samples,), inf, dtype=torch.float64)  # the last one since the last checkpoint

    def losses(self, node: Node) -> Tensor:
        """float64 [N] at a checkpoint; infinite for a sample that was not seen since the last one."""
        if self._is_byproduct:
            self._sum_up()
        else:
            rounds = torch.full((len(self._loss),), node.round)
            self._add(torch.arange(len(self._loss)), evaluated(node, node.data.train), rounds)
        losses, self._loss = self._loss, torch.full_like(self._loss, inf)
        return losses

    def catch_up(self) -> None:
        """Between checkpoints: sum up what was noted, where that is much. When makes no difference to the sums."""
        if len(self.passing) >= AT_ONCE:
            self._sum_up()

    def scores(self, node: Node) -> dict[str, NDArray[np.float64]]:
        """float64 [N] each, by name: high for samples that are worth keeping; NaN where too little was seen.

        For all but ``ltc`` and ``random`` these are the samples that are hard to learn.
        """
        seen = self._seen.arrays()
        found = suspicion(seen)
        return {
            "ltc": self.correlation.values.numpy(),
            "random": node.rng("ltc.random", 0).random(len(self._loss)),
            **{name: found[known] for name, known in COMPETING.items()},
            "probability_margin": -seen["mean_probability_margin"],
        }

    def _sum_up(self) -> None:
        if len(self.passing):
            self._add(*self.passing.take())

    def _add(self, positions: Tensor, seen: SampleStatistics, rounds: Tensor) -> None:
        self._seen.add(positions, seen, rounds)
        for rows in visits(positions):
            self._loss[positions[rows]] = seen.loss[rows]

    def state_dict(self) -> dict[str, Tensor]:
        """The sums, with what is not summed up yet."""
        self._sum_up()
        return nested(self._parts()) | {"loss": self._loss}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from `state_dict`."""
        self._loss = state["loss"].to("cpu", copy=True)
        load_nested(self._parts(), state)

    def _parts(self) -> Sequence[tuple[str, Stateful]]:
        return ("correlation.", self.correlation), ("seen.", self._seen)
