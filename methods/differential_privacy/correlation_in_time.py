"""Noise of a node that is correlated over its steps, drawn as it is needed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from methods.differential_privacy.noise_encoder import Floats, encoder
from simulator.core.errors import Problem, wrong
from simulator.core.node import Node
from simulator.core.plan import Plan
from simulator.core.registry import Settings
from topologies.weights import is_symmetric

MOST_STEPS = 1000  # of a run; the encoder is optimised as a whole, which takes steps cubed


class MatrixFactorizationSettings(Settings):
    """What the noise is optimised for, and how much of it is kept in memory.

    Attributes:
        bands: how many steps' noise depends on each other; all but one are kept, as long as the parameters.
        workload: "gossip": the error in all models, as the network's W spreads it; "prefix": in sums over time, for
            networks whose W is not symmetric, or changes.
    """

    bands: int = Field(8, ge=2)
    workload: Literal["gossip", "prefix"] = "gossip"


def problems(plan: Plan, settings: MatrixFactorizationSettings) -> Iterable[Problem]:
    """Networks without eigenvalues to optimise for, and runs that are too long."""
    if settings.workload == "gossip" and (plan.varies or not is_symmetric(plan.topology.matrix)):
        what = "noise is optimised for the eigenvalues of one symmetric W, and this network's is not, or changes."
        yield Problem("matrix_factorization.workload", what, "Set workload: prefix.")
    if (steps := plan.rounds * plan.training.local_steps) > MOST_STEPS:
        what = f"noise is optimised over all steps at once, at most {MOST_STEPS:,}, and the run has {steps:,}."
        yield Problem("matrix_factorization", what, "Take fewer rounds, or leave it out.")


class NoiseOverTime:
    """Rows of C^-1 Z, one a step, with Z independent and standard normal (`noise_encoder.encoder`).

    Row t is (z_t - sum_s C[t, s] row_s) / C[t, t] over the steps s within the bands before it. No row is in a state
    that leaves the node, for whoever had it could take it off: after a restart they are drawn again from the first.

    Attributes:
        rounds: how many were finished before each one in which the node has taken its steps, by which it drew.
    """

    def __init__(self, lower: Floats, bands: int, local_steps: int) -> None:
        self._lower, self._bands, self._local_steps = lower, bands, local_steps
        self._rows: list[Tensor] = []
        self.rounds: list[int] = []

    @classmethod
    def of(cls, node: Node, settings: MatrixFactorizationSettings, separation: int) -> NoiseOverTime:
        """That of ``node``, each of whose samples is in one of ``separation`` steps.

        Raises:
            InputError: its samples are in every step.
        """
        if separation == 1:
            what = "each sample is in every step; then no correlation over time makes less noise do."
            raise wrong("matrix_factorization", what, "Set a smaller batch_size, or leave it out.")
        spectrum = node.spectrum if settings.workload == "gossip" else (1.0,)
        steps = node.training.local_steps
        return cls(encoder(spectrum, node.rounds, steps, separation, settings.bands), settings.bands, steps)

    def begin_round(self, node: Node, purpose: str, taken: int) -> None:
        """Have the rows before the steps ``taken``, and note the round."""
        missing = self.rounds if taken and not self._rows else []
        for place, round in enumerate(missing):
            rng = node.rng(purpose, round)
            for step in range(self._local_steps):
                drawn = torch.from_numpy(rng.standard_normal(len(node.parameters))).to(node.parameters)
                self.next(drawn, place * self._local_steps + step)
        self.rounds.append(node.finished)

    def next(self, drawn: Tensor, step: int) -> Tensor:
        """float [parameters]: the row of ``step`` (from 0), of the ``drawn`` row of Z."""
        row = drawn.clone()
        for back, before in enumerate(reversed(self._rows), start=1):
            row.sub_(before, alpha=float(self._lower[step, step - back]))
        row.div_(float(self._lower[step, step]))
        self._rows = [*self._rows, row][-(self._bands - 1) :]
        return row

    def state(self) -> Tensor:
        """int64 [rounds], from which all is drawn again."""
        return torch.tensor(self.rounds, dtype=torch.int64)

    def restore(self, state: Tensor) -> None:
        """Continue after the rounds of ``state``."""
        self.rounds, self._rows = state.tolist(), []
