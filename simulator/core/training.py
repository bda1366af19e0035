"""How a node trains: settings of its optimizer, its learning-rate schedule and its local steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, NonNegativeInt, model_validator

from simulator.core.acting import GIVEN, Acts, If
from simulator.core.flat_module import Precision
from simulator.core.registry import Settings


class OptimizerSettings(Settings):
    """SGD as in PyTorch.

    g <- g + weight_decay x; m <- momentum m + g; x <- x - lr m, or x <- x - lr (g + momentum m) with Nesterov.

    Attributes:
        lr: the learning rate, before the schedule.
        momentum: share of the last step's direction that stays; 0: none is kept.
        nesterov: whether the gradient counts once more beside the momentum.
        weight_decay: times the parameters, added to the gradient.
    """

    lr: float = Field(0.1, gt=0)
    momentum: float = Field(0.0, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = Field(0.0, ge=0)

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> OptimizerSettings:
        if self.nesterov and self.momentum == 0:
            raise ValueError("Nesterov acceleration needs a momentum above 0")
        return self


class ScheduleSettings(Settings):
    """Learning rate over rounds: linear warm-up over ``warmup`` rounds, then times ``gamma`` at each milestone.

    Milestones are fractions of the run, so a shortened run keeps its shape.

    Attributes:
        warmup: rounds over which the rate rises.
        milestones: shares of the run after which the rate is multiplied.
        gamma: with what.
    """

    acts: ClassVar[Acts] = {"gamma": If(milestones=GIVEN)}

    warmup: int = Field(0, ge=0)
    milestones: tuple[float, ...] = ()
    gamma: float = Field(0.1, gt=0, le=1)

    @model_validator(mode="after")
    def _milestones_are_fractions(self) -> ScheduleSettings:
        if any(not 0 < milestone < 1 for milestone in self.milestones):
            raise ValueError("milestones are fractions of the run, between 0 and 1")
        return self

    def factor(self, round: int, rounds: int) -> float:
        """What the base rate is multiplied with in ``round`` (counted from 0) of ``rounds``; never 0."""
        if not (self.warmup or self.milestones):
            return 1.0
        warm = min(1.0, (round + 1) / self.warmup) if self.warmup else 1.0
        passed = sum(round >= milestone * rounds - 1e-9 for milestone in self.milestones)  # 0.07 * 100 > 7 in floats
        return float(warm * self.gamma**passed)


class NodeTrainingSettings(Settings):
    """What one node does otherwise than all others; None: as they do.

    Attributes:
        local_steps: steps a round.
        batch_size: samples a step.
        lr: the learning rate of its optimizer.
    """

    local_steps: int | None = Field(None, ge=1)
    batch_size: int | None = Field(None, ge=1)
    lr: float | None = Field(None, gt=0)


class TrainingSettings(Settings):
    """What every node does between two exchanges.

    Attributes:
        local_steps: steps a round.
        batch_size: samples a step.
        optimizer: how a step is made of a gradient.
        schedule: how the learning rate changes over the run.
        trainer: one node after the other (sequential), many as one program (stacked), or whichever a short probe finds
            to be faster (auto).
        precision: fp32, fp64, or bf16 for the products of matrices.
        device: cpu, cuda, or auto: cuda where there is one.
        nodes: what single ones do otherwise, by node number.
    """

    local_steps: int = Field(1, ge=1)
    batch_size: int = Field(32, ge=1)
    optimizer: OptimizerSettings = OptimizerSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    trainer: Literal["sequential", "stacked", "auto"] = "sequential"
    precision: Precision = "fp32"
    device: Literal["cpu", "cuda", "auto"] = "cpu"
    nodes: Mapping[NonNegativeInt, NodeTrainingSettings] = {}

    @property
    def steps_differ(self) -> bool:
        """Whether some nodes take more, fewer, longer or shorter steps than others."""
        return any(own.local_steps is not None or own.lr is not None for own in self.nodes.values())

    def of(self, node: int) -> TrainingSettings:
        """The settings that hold at ``node``, exceptions resolved."""
        if node not in self.nodes:
            return self.model_copy(update={"nodes": {}}) if self.nodes else self
        changes = self.nodes[node].model_dump(exclude_none=True)
        optimizer = self.optimizer.model_copy(update={"lr": changes.pop("lr", self.optimizer.lr)})
        return self.model_copy(update={**changes, "optimizer": optimizer, "nodes": {}})
