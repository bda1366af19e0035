"""Node-level differential privacy: user-level DP of McMahan et al. 2018 (arXiv:1710.06963), without its sampling."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch

from methods.differential_privacy.budget import Budget
from methods.differential_privacy.private_method import PrivateMethod
from simulator.core.errors import Problem
from simulator.core.linear_memory import Memory
from simulator.core.method import METHODS
from simulator.core.node import Node
from simulator.core.plan import Plan
from simulator.core.promise import Unit
from simulator.core.traits import Traits
from simulator.privacy.budget_settings import BudgetSettings
from simulator.training.hooks import overrides


class NodeDP(PrivateMethod):
    """What a node sends hardly depends on its data at all: its whole update of a round is clipped and blurred.

    With x the parameters before and y after local training, C the clip and sigma the noise multiplier::

        u = y - x ;  y <- x + u min(1, C / |u|) + N(0, (sigma C)^2)

    The promise: unit all data of the node; neighbours, the node with its data and with an update of zero; observer,
    anybody, also one who sees every message of the node. Two different data sets of a node are twice as far apart, so
    between these the promise is that of half the noise multiplier. Every round in which the node takes part is one step
    that looks at its data with certainty: nothing is gained by sampling. Generators are secret, as for `DPSGD`.

    It must be the last method, and no other may send parts of its own: then what leaves the node has passed it.
    """

    class Config(BudgetSettings):
        """The budget of the node's updates."""

        name: str = "node_dp"

    config: Config
    unit: ClassVar[str] = "all data of the node"
    neighbours: ClassVar[Unit] = "node"
    neutral: ClassVar[Mapping[str, Any] | None] = {"clip": 1e9, "noise_multiplier": 0.0}

    @classmethod
    def traits(cls, config: Any) -> Traits:
        """It keeps where a round began and nothing else; the noise is accounted for by its settings."""
        return replace(super().traits(config), noise="updates", memory=Memory())

    @classmethod
    def check(cls, config: Any, plan: Plan) -> Iterable[Problem]:
        """Everything that is sent must have been blurred."""
        yield from super().check(config, plan)
        names = [settings.name for settings in plan.methods]
        if config.name in names[:-1]:
            what = f"protects what methods before it have done, and {names[-1]} comes after it."
            yield Problem("", what, "Put it last in the list of methods, once.")
        for name in names:
            if any(overrides(METHODS.load(name), hook) for hook in ("outgoing", "early_outgoing")):
                what = f"protects the parameters, and {name} sends more than them, made of private data."
                yield Problem("", what, f"Remove {name} or {config.name}.")

    def setup(self, node: Node) -> None:
        """Nothing is spent.

        Raises:
            InputError: the promise would be empty, or cannot be kept.
        """
        self.budget = Budget.of(self.config, node, sample_rate=1.0, a_round=1)

    def before_round(self, node: Node) -> None:
        """Keep where the round begins."""
        self._start = node.parameters.clone()

    def after_local_training(self, node: Node) -> None:
        """Clip and blur the update, and see whether another round can be afforded."""
        update, sigma = node.parameters - self._start, self.budget.mechanism.noise_multiplier
        norm = float(update.norm())
        if norm > self.config.clip:
            update.mul_(self.config.clip / norm)
            node.parameters.copy_(self._start + update)
        if sigma:
            drawn = node.rng("node_dp.noise").standard_normal(len(update))
            node.parameters.add_(torch.from_numpy(drawn).to(update), alpha=sigma * self.config.clip)
        self.budget.steps += 1
        self.budget.end_round(node)
