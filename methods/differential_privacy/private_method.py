"""What methods that add noise until a privacy budget is spent have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from methods.differential_privacy.budget import Budget
from methods.differential_privacy.report import EPSILON, keep, section
from simulator.core.method import Method
from simulator.core.node import Node
from simulator.core.report import FinishedRun, Section
from simulator.privacy.budget_settings import BudgetSettings


class PrivateMethod(Method):
    """Spends the node's `Budget`, which `setup` must make, tells what is left of it, and ends the run with it.

    Attributes:
        unit: what is protected, in words.
        noisy_updates: whether the noise is on the update of a round, and not on the gradient of every step.
    """

    config: BudgetSettings
    budget: Budget
    unit: ClassVar[str]
    noisy_updates: ClassVar[bool] = False
    protects: ClassVar[bool] = True

    @classmethod
    def may_stop(cls, config: Any) -> bool:
        """When a budget is spent."""
        return config.max_epsilon is not None

    @classmethod
    def sections(cls, config: Any, record: FinishedRun) -> Sequence[Section]:
        """What was promised, and what it cost each node."""
        return [section(config.name, cls.unit, config, record)]

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
