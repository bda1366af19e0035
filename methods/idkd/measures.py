"""What is measured of an exchange at each node."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from simulator.core.soft_labels import SoftLabels


def agreement(tables: Sequence[SoftLabels], num_public: int, classes: int) -> float | None:
    """How often two nodes that labelled the same sample say the same class; None where no two did.

    The share of agreeing pairs of nodes at each sample, averaged over the samples that two or more labelled.
    """
    votes = torch.zeros(num_public, classes, dtype=torch.float64)
    for table in tables:
        votes[table.positions, table.labels.argmax(dim=1)] += 1
    votes = votes[votes.sum(dim=1) > 1]
    pairs = (votes * (votes - 1)).sum(dim=1) / (votes.sum(dim=1) * (votes.sum(dim=1) - 1))
    return float(pairs.mean()) if len(pairs) else None


def class_histogram(labels: Tensor, classes: int) -> Tensor:
    """int64 [classes]: how many of ``labels`` (int64 [N]) are of each class."""
    return torch.bincount(labels, minlength=classes)


def distance_to_uniform(histogram: Tensor) -> float:
    """Total variation distance, 1/2 sum_c |h_c / sum(h) - 1 / classes|: 0 if all classes are as many."""
    shares = histogram.double() / histogram.sum()
    return float((shares - 1 / len(shares)).abs().sum() / 2)
