"""From the labels of several nodes to one label a sample, over those nodes that labelled it.

``MERGES[settings.merge](tables, num_public, classes)``, with one table a node. What is not in a table says nothing: a
node that did not label a sample neither dilutes a mean nor can be picked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from simulator.core.soft_labels import SoftLabels

Merge = Callable[[Sequence[SoftLabels], int, int], SoftLabels]


def average(tables: Sequence[SoftLabels], num_public: int, classes: int) -> SoftLabels:
    """For each sample that anyone labelled, the mean label of those who did, summed in the order given."""
    return _weighted_mean(tables, [torch.ones(len(table.positions)) for table in tables], num_public, classes)


def confidence(tables: Sequence[SoftLabels], num_public: int, classes: int) -> SoftLabels:
    """As `average`, with each label weighted by its largest probability: sum_j c_j y_j / sum_j c_j, c_j = max y_j."""
    return _weighted_mean(tables, [table.labels.amax(dim=1) for table in tables], num_public, classes)


def official(tables: Sequence[SoftLabels], num_public: int, classes: int) -> SoftLabels:
    """The label of the node with most private training samples of the class that it predicts; the first on a tie.

    This is the rule of the released code (train_idkd.py). There, a node that did not label a sample counts as one that
    says class 0, and if it wins the label is zero; here it does not take part.
    """
    most = torch.full((num_public,), -1, dtype=torch.int64)
    merged = torch.zeros(num_public, classes, dtype=torch.float64)
    for table in tables:
        assert table.histogram is not None  # under this rule, histograms travel with the labels
        samples = table.histogram[table.labels.argmax(dim=1)]
        better = samples > most[table.positions]
        most[table.positions[better]] = samples[better]
        merged[table.positions[better]] = table.labels[better].double()
    positions = (most >= 0).nonzero().squeeze(1)
    return SoftLabels(positions, merged[positions])


def _weighted_mean(
    tables: Sequence[SoftLabels], weights: Sequence[Tensor], num_public: int, classes: int
) -> SoftLabels:
    total = torch.zeros(num_public, classes, dtype=torch.float64)
    weight = torch.zeros(num_public, dtype=torch.float64)
    for table, own in zip(tables, weights, strict=True):
        total.index_add_(0, table.positions, table.labels.double() * own.double()[:, None])
        weight.index_add_(0, table.positions, own.double())
    positions = weight.nonzero().squeeze(1)
    return SoftLabels(positions, total[positions] / weight[positions, None])


MERGES: Mapping[str, Merge] = {"average": average, "confidence": confidence, "official": official}
