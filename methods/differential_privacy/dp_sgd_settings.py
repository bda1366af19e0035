"""Settings of DP-SGD."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from methods.differential_privacy.adaptive_clip import AdaptiveClipSettings
from methods.differential_privacy.correlation_in_time import MatrixFactorizationSettings
from methods.differential_privacy.stricter_budgets import StricterSettings
from simulator.core.traits import Sampling
from simulator.privacy.budget_settings import BudgetSettings


class DPSGDSettings(BudgetSettings):
    """The budget, whether a gradient is clipped as one vector or layer by layer, and what batches are.

    Attributes:
        adaptive_clip: how the clip, which begins at ``clip``, moves; None: it does not.
        matrix_factorization: how noise is correlated over time; None: it is not.
        stricter: the budgets of samples that ask for less than ``target_epsilon``; None: there are none.
    """

    name: str = "dp_sgd"
    clipping: Literal["flat", "per_layer"] = "flat"
    sampling: Sampling = "poisson"
    adaptive_clip: AdaptiveClipSettings | None = None
    matrix_factorization: MatrixFactorizationSettings | None = None
    stricter: tuple[StricterSettings, ...] | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _go_together(self) -> DPSGDSettings:
        if self.adaptive_clip and self.clipping == "per_layer":
            raise ValueError("adaptive_clip moves one clip; set clipping: flat")
        if self.matrix_factorization and self.sampling != "cyclic":
            what = "matrix_factorization needs to know how far apart a sample's steps are"
            raise ValueError(f"{what}; set sampling: cyclic")
        if self.matrix_factorization and self.adaptive_clip:
            raise ValueError("matrix_factorization takes noise back that had the same clip; leave adaptive_clip out")
        if self.stricter:
            self._check_stricter(self.stricter)
        return self

    def _check_stricter(self, stricter: tuple[StricterSettings, ...]) -> None:
        if self.target_epsilon is None or any(each.epsilon >= self.target_epsilon for each in stricter):
            raise ValueError("stricter budgets are below that of all others; set a larger target_epsilon")
        if sum(each.share for each in stricter) >= 1:
            raise ValueError("stricter budgets are of fewer than all samples; lower their shares")
        if self.clipping == "per_layer" or self.adaptive_clip:
            raise ValueError("stricter budgets are shares of one clip; leave per_layer and adaptive_clip out")

    @model_serializer(mode="wrap")
    def _as_before(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what earlier releases did not have, where it changes nothing: their runs are the same."""
        later = {"sampling": "poisson", "adaptive_clip": None, "matrix_factorization": None, "stricter": None}
        return {name: value for name, value in whole(self).items() if name not in later or value != later[name]}
