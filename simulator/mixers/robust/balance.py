"""BALANCE (Fang, Zhang, Hairi, Khanduri, Liu, Lu, Liu and Gong 2024, arXiv:2406.10416)."""

from __future__ import annotations

from collections.abc import Mapping
from math import exp

import torch
from pydantic import Field
from torch import Tensor

from simulator.core.node import Node
from simulator.core.registry import PartSettings
from simulator.mixers.robust.base import ReweighingMixer


class Balance(ReweighingMixer):
    """The node's own model, and the mean of the neighbours' that are near it by the measure of its own length.

    With y_i the parameters after local training, in round t of T, counted from 1, as they were planned::

        A = {j in N(i) : ||y_j - y_i|| <= gamma exp(-kappa t / T) ||y_i||}
        x_i <- alpha y_i + (1 - alpha) mean of {y_j : j in A},   y_i where A is empty

    It needs no count of those that lie. W is not used: with all neighbours accepted this is gossip, adapt then combine,
    where W gives each node the weight alpha and the rest to its neighbours alike. The nodes' mean is not kept. The
    measure depends on where 0 is: it loosens as weights grow, and accepts nobody where a model is 0.
    """

    class Config(PartSettings):
        """The weight of the own model, how far others may be from it, and how fast that shrinks over the run."""

        name: str = "balance"
        alpha: float = Field(0.5, ge=0, le=1)
        gamma: float = Field(0.3, gt=0)
        kappa: float = Field(1.0, ge=0)

    config: Config

    def reweighed(
        self, node: Node, row: Mapping[int, float], models: Mapping[int, Tensor], away: Mapping[int, float]
    ) -> Mapping[int, float]:
        """Alike for all that are accepted."""
        own, settings = node.id, self.config
        length = torch.linalg.vector_norm(models[own].double()).item()
        radius = settings.gamma * exp(-settings.kappa * node.round / node.rounds) * length
        accepted = {j for j in away if away[j] <= radius}
        share = (1 - settings.alpha) / max(len(accepted), 1)
        weights = {j: share * (j in accepted) for j in away}
        return weights | {own: settings.alpha if accepted else 1.0}
