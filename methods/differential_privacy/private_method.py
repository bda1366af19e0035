"""What methods that add noise until a privacy budget is spent have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from methods.differential_privacy.budget import Budget
from methods.differential_privacy.report import EPSILON, keep, section
from simulator.core.errors import Problem
from simulator.core.method import Method
from simulator.core.mixer import MIXERS
from simulator.core.node import Node
from simulator.core.plan import Plan
from simulator.core.promise import Promise, Unit
from simulator.core.report import FinishedRun, Section
from simulator.core.traits import Traits
from simulator.privacy.budget_settings import BudgetSettings


class PrivateMethod(Method):
    """Spends the node's `Budget`, which `setup` must make, tells what is left of it, and ends the run with it.

    Attributes:
        unit: what is protected, in words.
        neighbours: the same, as sites compare it.
    """

    config: BudgetSettings
    budget: Budget
    unit: ClassVar[str]
    neighbours: ClassVar[Unit]

    @classmethod
    def traits(cls, config: Any) -> Traits:
        """The run may end when a budget is spent, and its noise must be nobody else's to draw."""
        return Traits(
            stackable=True,
            beside_gradients=None,
            may_stop=config.max_epsilon is not None,
            secret_randomness=True,
        )

    @classmethod
    def check(cls, config: Any, plan: Plan) -> Iterable[Problem]:
        """What leaves a node is its models and what is made of them, and these are what is made private."""
        way = MIXERS.load(plan.mixer.name).traits(plan.mixer).beside_models
        if way:
            what = f"the mixer {plan.mixer.name} {way}: {config.name} neither protects nor counts that."
            yield Problem("", what, "Declare it (MixerTraits: beside_models=None, if none do), or take another mixer.")

    @classmethod
    def sections(cls, config: Any, record: FinishedRun) -> Sequence[Section]:
        """What was promised, and what it cost each node."""
        return [section(config.name, cls.unit, config, record)]

    def promise(self, node: Node) -> Promise:
        """What the budget's mechanism costs, a round's steps at a time."""
        mechanism, steps, affordable = self.budget.mechanism, self.budget.a_round, self.budget.affordable
        lasts = None if affordable is None else affordable // steps
        return Promise(self.neighbours, mechanism.delta, lambda rounds: mechanism.epsilon(rounds * steps), lasts)

    def measure(self, node: Node) -> Mapping[str, float]:
        """What the node has spent."""
        return {EPSILON: self.budget.epsilon}

    def finalize(self, node: Node) -> None:
        """Keep what the report tells."""
        keep(node, self.config.name, self.budget)

    def state_dict(self) -> dict[str, Tensor]:
        """Noisy steps taken; what they cost follows from the settings."""
        return {"steps": torch.tensor(self.budget.steps)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore the steps taken."""
        self.budget.steps = int(state["steps"])
