"""A kind of samples: images, rows of a table, tokens, or arrays of no kind in particular."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.core.preparation import Preparation
from simulator.core.specification import InputSpec

StoredArrays = NDArray[Any] | Mapping[str, NDArray[Any]]  # samples first


class InputKind(ABC):
    """What the inputs of a data set are; frozen, and the same for all of its samples.

    It belongs to the data set as a whole: nothing in it is found out from one node's samples.
    """

    @abstractmethod
    def check(self, name: str, inputs: StoredArrays) -> None:
        """Refuse arrays that are not of this kind.

        Args:
            name: what the data set calls them, such as "x_train".
            inputs: with samples first.

        Raises:
            InputError: they have another type or shape, or hold what this kind cannot hold.
        """

    @abstractmethod
    def preparation(self, inputs: StoredArrays, rows: NDArray[np.int64]) -> Preparation:
        """How they become network input; statistics, where any are needed, are those of the samples ``rows``."""

    @abstractmethod
    def specification(self, inputs: StoredArrays) -> InputSpec:
        """What a network will be given of one sample."""
