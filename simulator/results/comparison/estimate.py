"""A result as people write it: mean and spread over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, nan
from typing import NamedTuple

import numpy as np

from simulator.results.formatting import fixed, significant


class MeanAndSpread(NamedTuple):
    """Mean and sample standard deviation over seeds; one seed has no spread."""

    mean: float
    spread: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> MeanAndSpread:
        """Of one value a seed; NaN where there is none."""
        known = np.array(values or [nan], dtype=np.float64)
        return cls(float(known.mean()), float(known.std(ddof=1)) if len(known) > 1 else None)

    def text(self, decimals: int | None = None) -> str:
        """As people write it, with that many decimals, or else with three significant digits."""
        mean = significant(self.mean, 3) if decimals is None else fixed(self.mean, decimals)
        if self.spread is None or not isfinite(self.mean):
            return mean
        places = len(mean.partition(".")[2]) if decimals is None else decimals
        return f"{mean} ± {significant(self.spread, 2) if 'e' in mean else fixed(self.spread, places)}"
