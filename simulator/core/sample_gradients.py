"""The gradients of a batch's samples, for a method that needs no more of them than norms and weighted sums."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from torch import Tensor

Views = Callable[[Tensor], Sequence[Tensor]]


class SampleGradients(ABC):
    """Of B samples, without weight decay; each is a vector in K parts, one a parameter tensor, in the module's order.

    They need not be there one by one: see `simulator.training.layerwise`.
    """

    @abstractmethod
    def __len__(self) -> int:
        """B; it may be 0 where the training set is sampled independently."""

    @abstractmethod
    def norms(self) -> Tensor:
        """float [B]: of the whole vectors."""

    @abstractmethod
    def norms_by_tensor(self) -> Tensor:
        """float [B, K]: of their parts."""

    @abstractmethod
    def sum(self, weights: Tensor) -> Tensor:
        """float [parameters]: sum_i w_i g_i.

        Args:
            weights: float [B] of the vectors, or [B, K] of their parts.
        """


class GradientRows(SampleGradients):
    """Written out.

    Args:
        rows: float [B, parameters], kept as an attribute.
        views: cuts the last dimension into parameter tensors: `FlatModule.views`.
    """

    def __init__(self, rows: Tensor, views: Views) -> None:
        self.rows, self._views = rows, views

    def __len__(self) -> int:
        return len(self.rows)

    def norms(self) -> Tensor:
        """They are those of the rows."""
        norms: Tensor = self.rows.norm(dim=1)
        return norms

    def norms_by_tensor(self) -> Tensor:
        """They are those of the rows' parts, as `views` cuts them."""
        parts = self._views(self.rows)
        found = self.rows.new_empty(len(self), len(parts))
        for column, part in zip(found.T, parts, strict=True):
            column.copy_(part.flatten(1).norm(dim=1))
        return found

    def sum(self, weights: Tensor) -> Tensor:
        """One product with the rows, or one with each of their parts."""
        if weights.dim() == 1:
            return weights @ self.rows
        total = self.rows.new_empty(self.rows.shape[1])
        for part, summed, own in zip(self._views(self.rows), self._views(total), weights.T, strict=True):
            summed.copy_((own @ part.flatten(1)).view(summed.shape))
        return total


class Replaced(SampleGradients):
    """Others, with some of them replaced.

    Args:
        others: of all B samples.
        places: int64, which of these are replaced.
        by: of as many samples.
    """

    def __init__(self, others: SampleGradients, places: Tensor, by: SampleGradients) -> None:
        self._others, self._places, self._by = others, places, by

    def __len__(self) -> int:
        return len(self._others)

    def norms(self) -> Tensor:
        """Each of its own."""
        return self._others.norms().index_copy(0, self._places, self._by.norms())

    def norms_by_tensor(self) -> Tensor:
        """Each of its own."""
        return self._others.norms_by_tensor().index_copy(0, self._places, self._by.norms_by_tensor())

    def sum(self, weights: Tensor) -> Tensor:
        """Of both, those that are replaced weighing nothing among the others."""
        return self._others.sum(weights.index_fill(0, self._places, 0)) + self._by.sum(weights[self._places])
