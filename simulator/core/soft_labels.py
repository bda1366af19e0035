"""Soft labels: what a node says of public samples."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class SoftLabels:
    """Labelled public samples.

    Attributes:
        positions: int64 [M], ascending places in the public set.
        labels: float [M, classes], rows sum to 1.
        histogram: int64 [classes], how many private training samples of each class their maker holds; where it is told.
    """

    positions: Tensor
    labels: Tensor
    histogram: Tensor | None = None
