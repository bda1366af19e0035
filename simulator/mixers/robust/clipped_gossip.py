"""Gossip that clips what each neighbour can do in a round (He, Karimireddy and Jaggi 2022, arXiv:2202.01545)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import inf, sqrt
from typing import Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor

from simulator.core.declaration import LARGEST, Declared
from simulator.core.errors import Problem
from simulator.core.message import Message
from simulator.core.node import Node
from simulator.core.plan import Plan
from simulator.core.registry import PartSettings
from simulator.mixers.robust.base import ReweighingMixer
from simulator.mixers.robust.distances import ROUNDING, clipped, within

PART = "clip_radius"


class ClippedGossip(ReweighingMixer):
    """Every node moves towards its neighbours' models, towards each by no more than a radius times its weight.

    With y_i the parameters after local training, W the mixing matrix and clip(z, t) = z min(1, t / ||z||)::

        x_i <- y_i + sum_j w_ij clip(y_j - y_i, tau_ij)

    The radius tau_ij is:

    * ``constant``: ``tau``, the same for all; where it is null nothing is clipped, and this is gossip, adapt then
      combine, to the bit
    * ``node``: the paper's practical rule, from ``delta``, the weight in a row that neighbours who lie may hold. With S
      the nearest nodes whose weights, the node's own included, are at most 1 - delta together,
      tau_i^2 = 1/delta sum_{j in S} w_ij ||y_j - y_i||^2
    * ``link``: the smaller one of tau_i and tau_j, each by the rule above from what its node has heard in the round
      before; a node that has heard nobody yet has the radius 0

    Where nobody lies and W is symmetric, ``constant`` and ``link`` keep the nodes' mean, for what a link gives to one
    end it takes from the other; ``node`` does not. Released code of the paper has other radii: the authors' own takes
    a constant, or the second largest distance.

    The part "parameters" of a message is the model; with ``link``, "clip_radius" is tau_i, float64, 8 bytes.
    """

    class Config(PartSettings):
        """Which radius; a constant one needs ``tau``, even if it is null, the others need ``delta``."""

        name: str = "clipped_gossip"
        radius: Literal["constant", "node", "link"] = "constant"
        tau: float | None = Field(None, ge=0)
        delta: float | None = Field(None, gt=0, lt=1)

        @model_validator(mode="after")
        def _says_what_the_radius_needs(self) -> Self:
            if self.radius == "constant":
                if "tau" not in self.model_fields_set:
                    raise ValueError("radius: constant needs tau, how far; tau: null clips nothing")
                if self.delta is not None:
                    raise ValueError("radius: constant does not use delta; leave it out, or set radius: node")
            elif self.delta is None:
                raise ValueError(f"radius: {self.radius} needs delta, the weight that neighbours who lie may hold")
            elif self.tau is not None:
                raise ValueError(f"radius: {self.radius} works tau out; leave it out, or set radius: constant")
            return self

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._radius = 0.0
        self._told: Mapping[int, float] = {}

    @classmethod
    def check(cls, config: Any, plan: Plan) -> Iterable[Problem]:
        """Somebody must be within 1 - delta; both ends of a link must hear of each other's radius."""
        yield from super().check(config, plan)
        if config.radius == "link" and not plan.laws.two_way:
            what = "a link's radius is that of both of its ends, which must hear each other in every round."
            advice = "Choose an undirected graph and topology.failures.symmetric: true, or set radius: node."
            yield Problem("radius", what, advice)
        for node in range(0 if config.delta is None or plan.varies else plan.topology.num_nodes):
            row = plan.topology.row(node)
            least = row[node] + min((weight for j, weight in row.items() if j != node), default=0.0)
            if least > 1 - config.delta + ROUNDING:
                what = f"at node {node} not even the nearest neighbour is within 1 - delta = {1 - config.delta:.3g}: "
                what += f"its own weight and the smallest of a neighbour are {least:.3g}, so it would hear nobody."
                yield Problem("delta", what, "Lower it, or choose a graph in which every node has more neighbours.")
                return

    @classmethod
    def notes(cls, config: Any, plan: Plan) -> Iterable[str]:
        """That nothing is clipped, where it is so."""
        if config.radius == "constant" and config.tau is None:
            yield "clipped_gossip with tau: null clips nothing, so one neighbour can put any model in a node's place"

    def outgoing(self, node: Node, to: int) -> Mapping[str, Tensor]:
        """The model and, where both ends of a link must agree on one, the radius."""
        told = {PART: torch.tensor([self._radius], dtype=torch.float64)} if self.config.radius == "link" else {}
        return {**super().outgoing(node, to), **told}

    def parts(self, node: Node, sender: int, round: int) -> Mapping[str, Declared]:
        """A radius is no larger than distances of models are."""
        told = {PART: Declared(torch.float64, (1,), least=0.0)} if self.config.radius == "link" else {}
        return {**super().parts(node, sender, round), **told}

    def mix(self, node: Node, inbox: Sequence[Message]) -> None:
        """Remember which radii the neighbours have."""
        self._told = {message.sender: message.parts[PART].item() for message in inbox if PART in message.parts}
        super().mix(node, inbox)

    def reweighed(
        self, node: Node, row: Mapping[int, float], models: Mapping[int, Tensor], away: Mapping[int, float]
    ) -> Mapping[int, float]:
        """w_ij min(1, tau_ij / ||y_j - y_i||) of neighbours, and the rest of the node itself."""
        if self.config.radius == "constant":
            tau = inf if self.config.tau is None else self.config.tau
            return clipped(row, node.id, away, dict.fromkeys(away, tau))
        before, found = self._radius, self._practical(row, node.id, away)
        if self.config.radius == "node":
            return clipped(row, node.id, away, dict.fromkeys(away, found))
        if away:
            self._radius = min(found, LARGEST)
        return clipped(row, node.id, away, {j: max(0.0, min(before, self._told[j])) for j in away})

    def _practical(self, row: Mapping[int, float], own: int, away: Mapping[int, float]) -> float:
        """tau_i by the paper's practical rule."""
        assert self.config.delta is not None  # checked by the settings
        room = 1 - self.config.delta + ROUNDING
        counted = (row[j] * away[j] * away[j] for total, j in within(row, own, away) if j != own and total <= room)
        return sqrt(sum(counted) / self.config.delta)

    def state_dict(self) -> dict[str, Tensor]:
        """The radius that the neighbours are told next."""
        return {PART: torch.tensor([self._radius], dtype=torch.float64)} if self.config.radius == "link" else {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on with a saved radius."""
        if state:
            self._radius = state[PART].item()
