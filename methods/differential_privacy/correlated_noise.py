"""Correlated noise for decentralized SGD (DECOR, Allouah et al. 2024, arXiv:2405.01031)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from simulator.core.errors import Problem
from simulator.core.linear_memory import Memory
from simulator.core.method import Method, traits_of
from simulator.core.mixer import MIXERS
from simulator.core.node import Node
from simulator.core.plan import Plan
from simulator.core.registry import PartSettings
from simulator.core.traits import Traits


class CorrelatedNoise(Method):
    """Clips a round's update and hides it under noise, most of which neighbours cancel when they mix.

    With x_i the parameters before and y_i after local training, C the clip, and u_i, v_ij standard normal::

        y_i <- x_i + clip_C(y_i - x_i) + C (noise_multiplier u_i + correlated_multiplier sum_j v_ij),  v_ij = -v_ji

    over the neighbours j of the round. The v cancel in the sum over all nodes, so the average pays for the u alone
    wherever mixing keeps that sum (in every round, columns of W that sum to 1 and terms of one age), while who sees
    single messages faces the covariance C^2 (noise_multiplier^2 I + correlated_multiplier^2 L), L the Laplacian
    of the round's links (the audit `network_privacy` turns it into epsilon). The privacy is that of whole updates: of
    a node's data, not of a sample. Without a clip, nothing is promised and nothing added.

    Both ends of a link draw v_ij from a generator that the link, the round and a seed decide: the experiment's, or in a
    deployment what both have by Diffie-Hellman. It is no cryptographic generator. A neighbour that drops out within a
    round leaves its noise uncancelled.
    """

    class Config(PartSettings):
        """How much noise is the node's own, and how much it shares with each neighbour.

        Attributes:
            clip: the largest norm of an update; None: no bound, for no noise.
            noise_multiplier: standard deviation of a node's own noise, over the clip.
            correlated_multiplier: the same of what each two neighbours share.
        """

        name: str = "correlated_noise"
        clip: float | None = Field(1.0, gt=0)
        noise_multiplier: float = Field(1.0, ge=0)
        correlated_multiplier: float = Field(1.0, ge=0)

        @model_validator(mode="after")
        def _noise_needs_a_clip(self) -> CorrelatedNoise.Config:
            if self.clip is None and (self.noise_multiplier or self.correlated_multiplier):
                raise ValueError("noise is a multiple of the clip; set clip, or both multipliers to 0")
            return self

    config: Config
    neutral: ClassVar[Mapping[str, Any]] = {"clip": None, "noise_multiplier": 0.0, "correlated_multiplier": 0.0}

    @classmethod
    def traits(cls, config: Any) -> Traits:
        """It keeps where a round began and nothing else; the noise is accounted for by its settings."""
        return Traits(stackable=True, beside_gradients=None, memory=Memory(), noise="updates", secret_randomness=True)

    @classmethod
    def check(cls, config: Any, plan: Plan) -> Iterable[Problem]:
        """Both ends of a link must know of it in every round, mixing must keep the sum, and nobody clip the noise."""
        if not config.correlated_multiplier:
            return
        if not plan.laws.two_way:
            what = "noise that two neighbours cancel needs links that go both ways in every round."
            yield Problem("", what, "Choose an undirected graph and topology.failures.symmetric: true.")
        elif not MIXERS.load(plan.mixer.name).keeps_sum(plan.mixer, plan):
            what = f"the noise of neighbours stays in the mean unless mixing keeps it in every round: {plan.mixer.name}"
            advice = "Set mixer: gossip, with topology.weights: metropolis_hastings on an undirected graph."
            yield Problem("", f"{what} does not here.", advice)
        names = [settings.name for settings in plan.methods]
        for settings in plan.methods[names.index(config.name) + 1 :] if config.name in names else ():
            if traits_of(settings).noise == "updates":
                what = f"{settings.name} after it clips the update with its noise, which then no longer cancels."
                yield Problem("", what, "Keep one of the two.")

    def before_round(self, node: Node) -> None:
        """Remember where the update begins."""
        self._start = node.parameters.clone()

    def after_local_training(self, node: Node) -> None:
        """Clip the update and add the noise."""
        clip = self.config.clip
        if clip is None:
            return
        update = node.parameters - self._start
        factor = clip / max(update.norm().item(), clip)
        node.parameters.copy_(self._start).add_(update, alpha=factor).add_(self.noise(node))

    def noise(self, node: Node) -> Tensor:
        """float [parameters]: what the node adds in this round."""
        assert self.config.clip is not None  # without it there is no noise
        total = self.config.noise_multiplier * node.rng("correlated_noise.own").standard_normal(len(node.parameters))
        for other in node.receivers:
            shared, sign = node.link_rng(other, "correlated_noise.link"), 1 if node.id < other else -1
            total += sign * self.config.correlated_multiplier * shared.standard_normal(len(node.parameters))
        return torch.from_numpy(np.asarray(self.config.clip * total)).to(node.parameters)
