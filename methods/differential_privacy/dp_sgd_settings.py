"""Settings of DP-SGD."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator

from methods.differential_privacy.adaptive_clip import AdaptiveClipSettings
from methods.differential_privacy.correlation_in_time import MatrixFactorizationSettings
from simulator.core.traits import Sampling
from simulator.privacy.budget_settings import BudgetSettings


class DPSGDSettings(BudgetSettings):
    """The budget, whether a gradient is clipped as one vector or layer by layer, and what batches are.

    Attributes:
        adaptive_clip: how the clip, which begins at ``clip``, moves; None: it does not.
        matrix_factorization: how noise is correlated over time; None: it is not.
    """

    name: str = "dp_sgd"
    clipping: Literal["flat", "per_layer"] = "flat"
    sampling: Sampling = "poisson"
    adaptive_clip: AdaptiveClipSettings | None = None
    matrix_factorization: MatrixFactorizationSettings | None = None

    @model_validator(mode="after")
    def _go_together(self) -> DPSGDSettings:
        if self.adaptive_clip and self.clipping == "per_layer":
            raise ValueError("adaptive_clip moves one clip; set clipping: flat")
        if self.matrix_factorization and self.sampling != "cyclic":
            what = "matrix_factorization needs to know how far apart a sample's steps are"
            raise ValueError(f"{what}; set sampling: cyclic")
        if self.matrix_factorization and self.adaptive_clip:
            raise ValueError("matrix_factorization takes noise back that had the same clip; leave adaptive_clip out")
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what earlier releases did not have, where it changes nothing: their runs are the same."""
        later = {"sampling": "poisson", "adaptive_clip": None, "matrix_factorization": None}
        return {name: value for name, value in whole(self).items() if name not in later or value != later[name]}
