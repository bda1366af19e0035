"""Rows of tables while they are searched for: numbers are free, categories are shares, and in the end one is chosen.

After TabLeak (Vero et al. 2023, arXiv:2210.01785), which relaxes one-hot columns by softmax.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from simulator.data.kinds.table import TablePreparation

RIGHT = 0.319  # standard deviations by which a number may be off, as TabLeak has it


@dataclass(frozen=True)
class TableForm:
    """The columns of a table as the network takes them: numbers, what is missing of them, and categories, one-hot.

    Attributes:
        preparation: of the run.
    """

    preparation: TablePreparation

    @property
    def _parts(self) -> list[int]:
        """How many values there are of numbers, of indicators, and of each column of categories."""
        ends = torch.cat([self.preparation.first, torch.tensor([self.preparation.width])])
        return [len(self.preparation.mean), len(self.preparation.indicated), *ends.diff().tolist()]

    def relaxed(self, free: Tensor) -> Tensor:
        """Inputs of the network, float64 [K, values], that can be moved a little."""
        numbers, missing, *categories = torch.split(free, self._parts, dim=1)
        return torch.cat([numbers, missing.sigmoid(), *(each.softmax(1) for each in categories)], dim=1)

    def settled(self, free: Tensor) -> Tensor:
        """Rows that there can be: one category a column, and a number that is missing is 0."""
        numbers, missing, *categories = torch.split(free, self._parts, dim=1)
        gone = missing > 0
        numbers = numbers.clone()
        numbers[:, self.preparation.indicated] = numbers[:, self.preparation.indicated].masked_fill(gone, 0.0)
        chosen = [torch.eye(each.shape[1], dtype=free.dtype)[each.argmax(1)] for each in categories]
        return torch.cat([numbers, gone.to(free.dtype), *chosen], dim=1)

    def right(self, found: Tensor, true: Tensor) -> Tensor:
        """Whether each column is right, bool [K, columns]: a number by less than `RIGHT`, a category altogether."""
        pairs = zip(*(torch.split(each, self._parts, dim=1) for each in (found, true)), strict=True)
        (numbers, real), (missing, really), *categories = pairs
        near = (numbers - real).abs() < RIGHT
        near[:, self.preparation.indicated] &= (missing > 0.5) == (really > 0.5)
        same = [(one.argmax(1) == other.argmax(1))[:, None] for one, other in categories]
        return torch.cat([near, *same], dim=1)
