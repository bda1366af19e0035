"""Samples that ask for more privacy than the others of their node."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from pydantic import Field
from torch import Tensor

from methods.differential_privacy.budget import Budget
from simulator.core.errors import wrong
from simulator.core.node import Node
from simulator.core.registry import Settings
from simulator.core.samples import Batch
from simulator.privacy.accounting import GaussianSteps
from simulator.privacy.calibration import noise_multiplier_for


class StricterSettings(Settings):
    """A budget that some samples have instead of ``target_epsilon``.

    Attributes:
        epsilon: what all planned rounds shall cost each of them.
        share: of a node's training samples, drawn at random; who they are is told to nobody.
    """

    epsilon: float = Field(gt=0)
    share: float = Field(gt=0, lt=1)


@dataclass(frozen=True)
class StricterBudgets:
    """The clips of a node's samples, and what the smaller ones buy (IDP-SGD, Boenisch et al. 2023, arXiv:2303.17046).

    Under the same noise, a sample clipped to the share f of the clip C has the noise multiplier sigma / f: so each
    budget has the f that its epsilon takes. That is their scaling, with C left to those of ``target_epsilon``.

    Attributes:
        mechanisms: of each stricter budget, as its samples' accountant has it.
        factors: float64 [samples], f of each training sample.
    """

    mechanisms: tuple[GaussianSteps, ...]
    factors: Tensor

    @classmethod
    def of(cls, settings: Sequence[StricterSettings], budget: Budget, node: Node) -> Self:
        """Those of ``node``, of which ``budget`` is that of all other samples.

        Raises:
            InputError: no noise is enough, or a share is of less than a sample.
        """
        base, samples = budget.mechanism, len(node.data.train)
        order, first = node.rng("dp_sgd.stricter", round=0).permutation(samples), 0
        factors, mechanisms = torch.ones(samples, dtype=torch.float64), list[GaussianSteps]()
        for place, each in enumerate(settings):
            where, count = f"dp_sgd.stricter[{place}]", round(each.share * samples)
            if not count:
                raise wrong(f"{where}.share", f"{each.share:g} of {samples} samples is none.", "Set a larger share.")
            try:
                sigma = noise_multiplier_for(each.epsilon, base, budget.a_round * node.rounds)
            except ValueError as error:
                what = f"no noise is enough for {each.epsilon:g}: {base.accountant} cannot show so little."
                raise wrong(f"{where}.epsilon", what, "Set a larger one, or a larger delta.") from error
            mechanisms.append(replace(base, noise_multiplier=sigma))
            factors[order[first : first + count]] = base.noise_multiplier / sigma
            first += count
        return cls(tuple(mechanisms), factors)

    def of_batch(self, batch: Batch) -> Tensor:
        """f of the samples of a batch, float64 [B]; 1 of those that are public."""
        private = batch.positions[batch.positions < len(self.factors)]  # which come first
        return torch.cat([self.factors[private], self.factors.new_ones(len(batch) - len(private))])

    def epsilons(self, steps: int) -> list[float]:
        """What ``steps`` steps cost a sample of each budget."""
        return [mechanism.epsilon(steps) for mechanism in self.mechanisms]
