"""The settings of Verifix."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import PositiveFloat, PositiveInt

from simulator.core.acting import Acts, If
from simulator.core.registry import PartSettings

HALF_DECADES = (1e1, 3e1, 1e2, 3e2, 1e3, 3e3, 1e4, 3e4, 1e5, 3e5, 1e6)
FED_BACK = ("before_mixing", "after_mixing")


class VerifixSettings(PartSettings):
    """When models are corrected, how strongly, and what becomes of the corrected ones.

    Attributes:
        use: what is corrected, and when: a ``copy`` of the final model; a copy at every evaluation (``probe``), the
            last one included; the final model itself (``replace``); or, every ``every`` rounds, the model that training
            goes on with, ``before_mixing`` or ``after_mixing``.
        every: rounds from one correction to the next, for the last two.
        alphas: the candidates beside no correction at all, half decades from 10 to 10^6 by default. The paper's are
            10^4 to 10^6, for layers of up to 4608 inputs; in small layers a direction has a larger share of the whole,
            and a smaller alpha has the same effect. Empty: nothing is ever corrected.
    """

    acts: ClassVar[Acts] = {"every": If(use=FED_BACK)}

    name: str = "verifix"
    use: Literal["copy", "probe", "replace", "before_mixing", "after_mixing"] = "copy"
    every: PositiveInt | None = None
    alphas: tuple[PositiveFloat, ...] = HALF_DECADES

    @property
    def feeds_back(self) -> bool:
        """Whether training goes on with corrected models."""
        return self.use in FED_BACK
