"""Correlation of two trajectories for each of many samples, in memory that does not grow with their length."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, nan, sqrt

import torch
from torch import Tensor


class Correlation:
    """Pearson's correlation of x and y over the checkpoints at which a sample was seen, for each of N samples.

    Welford's update of means and central moments, which unlike plain sums loses no digits where losses are large and
    change little.

    Args:
        samples: N.
        differences: correlate the changes from one such checkpoint to the next (CLD), not x and y themselves.
    """

    def __init__(self, samples: int, *, differences: bool = True) -> None:
        self._differences = differences
        self._last = torch.full((2, samples), inf, dtype=torch.float64)
        self._count = torch.zeros(samples, dtype=torch.int64)
        self._mean, self._square = (torch.zeros(2, samples, dtype=torch.float64) for _ in range(2))
        self._cross = torch.zeros(samples, dtype=torch.float64)

    def add(self, x: Tensor, y: Tensor) -> None:
        """A checkpoint: float64 [N] each; a sample that has no finite number in either was not seen."""
        point = torch.stack([x, y])
        at = point.isfinite().all(dim=0).nonzero()[:, 0]
        point = point[:, at]
        if self._differences:
            step, self._last[:, at] = point - self._last[:, at], point
            begun = step.isfinite().all(dim=0)
            at, point = at[begun], step[:, begun]
        self._take(at, point)

    def _take(self, at: Tensor, point: Tensor) -> None:
        count = self._count[at] + 1
        before = point - self._mean[:, at]
        self._mean[:, at] += before / count
        after = point - self._mean[:, at]
        self._square[:, at] += before * after
        self._cross[at] += before[0] * after[1]
        self._count[at] = count

    @property
    def count(self) -> Tensor:
        """int64 [N]: over how many points, which are one fewer than checkpoints for differences."""
        return self._count.clone()

    @property
    def values(self) -> Tensor:
        """float64 [N] in [-1, 1]: 0 where x or y is constant, NaN for a sample with fewer than 2 points."""
        x, y = self._square.sqrt()
        spread = x * y
        found = torch.where(spread > 0, self._cross / spread, 0.0).clamp(-1, 1)
        return found.where(self._count >= 2, nan)

    def state_dict(self) -> dict[str, Tensor]:
        """Everything, as named tensors."""
        return {name: getattr(self, f"_{name}") for name in ("last", "count", "mean", "square", "cross")}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from `state_dict`."""
        for name, values in state.items():
            setattr(self, f"_{name}", values.to("cpu", copy=True))


def noise_floor(points: float) -> float:
    """Standard deviation of the correlation of ``points`` pairs (at least 2) of unrelated normal numbers."""
    return 1 / sqrt(points - 1)
