"""The settings of LTC."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import PositiveInt

from simulator.core.acting import Acts, Unless
from simulator.core.registry import PartSettings
from simulator.data.coreset import CoresetChoice

Score = Literal["ltc", "random", "forgetting", "el2n", "aum", "probability_margin", "cumulative_loss", "ccs"]


class LTCSettings(PartSettings, CoresetChoice):
    """What scores are made of and become, beside the choice of a coreset (`simulator.data.coreset.CoresetChoice`).

    Attributes:
        use: what becomes of the scores: they are saved, with the coreset that they would give (``report``); the node
            trains on the ``coreset`` after round ``after``; or it goes on without the samples that conflict with the
            validation set, those of negative score (``drop``).
        after: how many rounds to watch, for the last two; a report watches all.
        score: by what to choose; all scores are recorded in any case, so that they can be compared.
        trajectory: whether changes of losses are correlated (CLD), or the losses themselves.
        mode: where the training samples' losses come from.
        every: rounds from one checkpoint to the next.
        early: EL2N is averaged over a sample's first so many observations.
        share_means: whether nodes tell their neighbours the mean validation loss of each class, for those that have no
            validation sample of it.
    """

    acts: ClassVar[Acts] = {
        "after": Unless(use="report"),
        **dict.fromkeys(("share", "per_class", "prefer"), Unless(use="drop")),
    }

    name: str = "ltc"
    use: Literal["report", "coreset", "drop"] = "report"
    after: PositiveInt | None = None
    score: Score = "ltc"
    trajectory: Literal["differences", "raw"] = "differences"
    mode: Literal["eval_pass", "byproduct"] = "eval_pass"
    every: PositiveInt = 1
    early: PositiveInt = 10
    share_means: bool = True

    @property
    def least(self) -> int:
        """Checkpoints without which there is no score to go by."""
        needed = {"differences": 3, "raw": 2}[self.trajectory]
        return needed if self.score == "ltc" else 2
