"""From labels, which may be any whole numbers, to classes 0 to C - 1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import wrong

MOST_CLASSES = 50_000  # more than any data set of pictures has
_UNKNOWN = -1


@dataclass(frozen=True)
class LabelTable:
    """The labels that occur (int [C], ascending); None where there are none, or not all are whole numbers."""

    labels: NDArray[Any] | None

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> LabelTable:
        """All that occur in ``arrays``, by the arrays' names.

        Raises:
            InputError: some are negative, or there are more of them than any data set has classes.
        """
        for name, labels in arrays.items():
            if not (np.issubdtype(labels.dtype, np.integer) and labels.size):
                return cls(None)
            if labels.min() < 0:
                what = f"{name} runs from {labels.min()} to {labels.max()}, and no class has a number below 0."
                raise wrong("path", what, "Leave unlabelled images out, and number classes from 0 on.")
        if not arrays:
            return cls(None)
        found = np.unique(np.concatenate([np.unique(labels) for labels in arrays.values()]))
        if len(found) > MOST_CLASSES:
            what = f"{' and '.join(arrays)} hold {len(found):,} different labels."
            raise wrong("path", what, "Give one label a class: these look like numbers of samples.")
        return cls(found)

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each class: its label in the file; nothing where labels were classes already."""
        return () if self.labels is None else tuple(map(str, self.labels.tolist()))

    def classes(self, labels: NDArray[Any]) -> NDArray[Any]:
        """int64: the class of each label, -1 for one that does not occur; fractions stay as they are."""
        if self.labels is None or not np.issubdtype(labels.dtype, np.integer):
            return labels
        places = np.searchsorted(self.labels, labels).clip(max=len(self.labels) - 1)
        return np.where(self.labels[places] == labels, places, _UNKNOWN).astype(np.int64)

    def notes(self) -> Iterator[str]:
        """How labels became classes, where they are not the same."""
        if self.labels is not None and self.labels[-1] != len(self.labels) - 1:
            names = self.names if len(self.labels) <= 12 else (*self.names[:10], "...", self.names[-1])
            yield f"labels {', '.join(names)} are classes 0 to {len(self.labels) - 1}, in this order"
