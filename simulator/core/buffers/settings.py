"""What becomes of running statistics: the block ``buffers`` of an experiment."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator

from simulator.core.acting import Acts, If
from simulator.core.registry import Settings

Policy = Literal["local", "mixed", "frozen"]


class BufferSettings(Settings):
    """What becomes of the running statistics of a network, such as those of batch normalisation.

    Counters, such as how many batches there were, stay with their node whatever the policy; nor do constants travel.

    Attributes:
        policy: ``local``, each node keeps its own (SiloBN, arXiv:2007.07424); ``mixed``, they are sent with every model
            and averaged with the same weights, variances with the spread of the means; ``frozen``, mixed for
            ``freeze_after`` rounds and fixed from then on, in training too (FixBN, arXiv:2303.06530).
        freeze_after: rounds; 0 keeps what the network begins with.
        recompute: so many training batches of every node go through the consensus model, whose scores with statistics
            of its own activations are then reported beside those with averaged ones; None: not.
    """

    acts: ClassVar[Acts] = {"freeze_after": If(policy="frozen")}

    policy: Policy
    freeze_after: int = Field(0, ge=0)
    recompute: PositiveInt | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, content: Any) -> Any:
        return {"policy": content} if isinstance(content, str) else content

    @property
    def frozen_from_the_start(self) -> bool:
        """Whether they never move."""
        return self.policy == "frozen" and self.freeze_after == 0

    @property
    def ever_travel(self) -> bool:
        """Whether any message holds some."""
        return self.policy == "mixed" or self.freeze_after > 0

    def travel_in(self, round: int) -> bool:
        """Whether messages of ``round``, counted from 1, hold some."""
        return self.policy == "mixed" or round <= self.freeze_after

    def fixed_in(self, round: int) -> bool:
        """Whether they no longer move in ``round``, counted from 1."""
        return self.policy == "frozen" and round > self.freeze_after
