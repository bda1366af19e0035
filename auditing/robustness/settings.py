"""The settings of the robustness audit."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator

from auditing.robustness.budget import PerturbationBudget
from auditing.robustness.threats import ATTACKS
from simulator.core.acting import Acts, If
from simulator.core.registry import PartSettings


class RobustnessSettings(PartSettings):
    """Who attacks which ensembles, and how hard.

    Attributes:
        name: the audit's.
        attacks: names in `ATTACKS`.
        eps: the largest change of a pixel, as a share of white.
        steps: of attacks by gradients, in each restart.
        restarts: of attacks that start at random.
        queries: of attacks without gradients.
        size: members of an ensemble.
        hops: how far from the node that asks its members may be.
        hosts: the nodes that ask, over which results are averaged.
        answer: how members answer together.
        strengths: at which transferability is measured, for the fit, in multiples of eps; with 8/255, the 0.02 to 0.08
            of the released code.
        slack: of the clean accuracy, what a member may lack to the best candidate's.
        draws: random ensembles to average over.
        samples: at most this many test images are attacked, and validation images used for the choice.
    """

    acts: ClassVar[Acts] = {"queries": If(attacks="square")}

    name: str = "robustness"
    attacks: tuple[str, ...] = tuple(ATTACKS)
    eps: float = Field(8 / 255, ge=0, le=1)
    steps: PositiveInt = 40
    restarts: PositiveInt = 1
    queries: PositiveInt = 500
    size: PositiveInt = 3
    hops: PositiveInt = 2
    hosts: tuple[NonNegativeInt, ...] = Field((0,), min_length=1)
    answer: Literal["softmax", "vote"] = "softmax"
    strengths: tuple[float, ...] = Field((0.6375, 1.275, 1.9125, 2.55), min_length=2)
    slack: float = Field(0.05, ge=0, le=1)
    draws: PositiveInt = 3
    samples: PositiveInt = 200

    @field_validator("strengths")
    @classmethod
    def _positive(cls, strengths: tuple[float, ...]) -> tuple[float, ...]:
        if any(strength <= 0 for strength in strengths):
            raise ValueError("strengths are multiples of eps above 0")
        return strengths

    @property
    def budget(self) -> PerturbationBudget:
        """What each attack may spend."""
        return PerturbationBudget(self.eps, self.steps, self.restarts, self.queries)
