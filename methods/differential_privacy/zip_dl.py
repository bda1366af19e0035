"""Noise that differs by receiver and cancels at one mixing (Zip-DL, Biswas et al. 2025, arXiv:2403.11795)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from simulator.core.errors import Problem
from simulator.core.linear_memory import Memory
from simulator.core.message import Message
from simulator.core.method import Method, traits_of
from simulator.core.mixer import MIXERS
from simulator.core.node import Node
from simulator.core.plan import Plan
from simulator.core.registry import PartSettings
from simulator.core.traits import Traits


class ZipDL(Method):
    """Clips a round's update and sends each receiver the model under another noise; all of it cancels in one mixing.

    With x_i the parameters before and y_i after local training, C the clip, W the mixing matrix and a_j = W[j, i] over
    the receivers j of node i and itself::

        y_i <- x_i + clip_C(y_i - x_i);   n = C noise_multiplier (I - a a' / |a|^2) z,   z standard normal;
        y_i + n_j goes to j, and y_i + n_i is what the node itself mixes:   sum_j W[j, i] n_j = 0

    So the network's mean pays nothing, and no two nodes need a key. What it promises is between pairs: a lone neighbour
    faces the variance s^2 (1 - a_j^2 / |a|^2), s = C noise_multiplier, all k neighbours together, or who sees all
    messages, in the best estimate of y_i no more than s^2 / (k (k + 1)) where weights are equal, s^2 / 6 on a ring. The
    audit `network_privacy` turns both into epsilon. Without a clip, nothing is promised and nothing added.
    """

    class Config(PartSettings):
        """The clip, and how much noise.

        Attributes:
            clip: the largest norm of an update; None: no bound, for no noise.
            noise_multiplier: standard deviation of z over the clip.
        """

        name: str = "zip_dl"
        clip: float | None = Field(1.0, gt=0)
        noise_multiplier: float = Field(1.0, ge=0)

        @model_validator(mode="after")
        def _noise_needs_a_clip(self) -> ZipDL.Config:
            if self.clip is None and self.noise_multiplier:
                raise ValueError("noise is a multiple of the clip; set clip, or noise_multiplier to 0")
            return self

    config: Config
    neutral: ClassVar[Mapping[str, Any]] = {"clip": None, "noise_multiplier": 0.0}

    @classmethod
    def traits(cls, config: Any) -> Traits:
        """It keeps where a round began and nothing else; the noise is accounted for by its settings."""
        return Traits(stackable=True, beside_gradients=None, memory=Memory(), noise="messages", secret_randomness=True)

    @classmethod
    def check(cls, config: Any, plan: Plan) -> Iterable[Problem]:
        """Every message must be mixed by the weights that its noise is made for, and the node's own model with them."""
        if not config.noise_multiplier:
            return
        advice = "Set mixer: gossip, with topology.weights: metropolis_hastings on an undirected graph."
        if plan.mixer != MIXERS.load("gossip").Config(name="gossip") or plan.apart:
            what = "its noise cancels where all neighbours' models, as they were sent, are summed by the weights of W."
            yield Problem("", what, "Set mixer: gossip as it is by default, and let all neighbours share parameters.")
        elif not plan.laws.columns:
            what = "its noise stays in the mean where messages are lost, or columns of W do not sum to 1."
            yield Problem("", what, advice)
        yield from _without_own_share(plan)
        names = [settings.name for settings in plan.methods]
        for settings in plan.methods[names.index(config.name) + 1 :] if config.name in names else ():
            if traits_of(settings).noise == "updates":
                yield Problem("", f"{settings.name} after it clips the update with its noise.", "Keep one of the two.")

    def before_round(self, node: Node) -> None:
        """Remember where the update begins."""
        self._start = node.parameters.clone()

    def after_local_training(self, node: Node) -> None:
        """Clip the update, draw the noise of the round, and add the node's own part."""
        self._beside: dict[int, Tensor] = {}
        clip = self.config.clip
        if clip is None:
            return
        update = node.parameters - self._start
        node.parameters.copy_(self._start).add_(update, alpha=clip / max(update.norm().item(), clip))
        noise = self.noise(node)
        node.parameters.add_(noise[node.id])
        self._beside = {receiver: noise[receiver] - noise[node.id] for receiver in node.receivers}

    def outgoing(self, node: Node, message: Message) -> Message:
        """The receiver's noise in place of the node's own."""
        beside = self._beside.get(message.receiver)
        if beside is None or "parameters" not in message.parts:
            return message
        return replace(message, parts={**message.parts, "parameters": message.parts["parameters"] + beside})

    def noise(self, node: Node) -> dict[int, Tensor]:
        """float [parameters] by receiver, the node itself included: what is added for it in this round."""
        assert self.config.clip is not None  # without it there is no noise
        whose = (node.id, *node.receivers)
        drawn = node.rng("zip_dl").standard_normal((len(whose), len(node.parameters)))
        a = np.array([node.weights[node.id], *(node.rows[receiver][node.id] for receiver in node.receivers)])
        drawn -= np.outer(a / (a @ a), a @ drawn)
        drawn *= self.config.clip * self.config.noise_multiplier
        return {id: torch.from_numpy(part).to(node.parameters) for id, part in zip(whose, drawn, strict=True)}


def _without_own_share(plan: Plan) -> Iterator[Problem]:
    """The first node, if there is such, that mixes nothing of its own: its neighbours' noise cancels by itself."""
    for round in range(plan.rounds if plan.varies else 1):
        own = plan.network.at(round).matrix.diagonal()
        if (own == 0).any():
            what = f"node {int(own.argmin())} gives its own model no weight, so its neighbours together see it plain."
            yield Problem("", what, "Choose topology.weights: metropolis_hastings or lazy.")
            return
