"""Laws: what is known of W in every round, which its mean over rounds and all links together do not tell."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Self

import numpy as np
from scipy.sparse import csr_array

from topologies.mixing import Mixing
from topologies.weights import is_row_stochastic


@dataclass(frozen=True)
class Laws:
    """What holds for W in every round; False where some round breaks it, or where nobody can promise it for all.

    Attributes:
        rows: the rows of W sum to 1, so that nodes which agree stay where they are.
        columns: its columns sum to 1, so that mixing keeps the sum over the nodes.
        symmetric: W equals its transpose.
        two_way: whoever sends to a node hears from it in the same round.
    """

    rows: bool
    columns: bool
    symmetric: bool
    two_way: bool

    @classmethod
    def of(cls, mixing: Mixing) -> Self:
        """What holds for one W."""
        matrix, other = mixing.matrix, csr_array(mixing.matrix.T)
        two_way = np.array_equal(matrix.indptr, other.indptr) and np.array_equal(matrix.indices, other.indices)
        return cls(is_row_stochastic(matrix), mixing.is_column_stochastic, mixing.is_symmetric, two_way)

    @classmethod
    def bound(cls, push: bool) -> Self:
        """What holds for every valid W, of weights named `push` or of others; nothing more is known."""
        return cls(rows=not push, columns=push, symmetric=False, two_way=False)

    @classmethod
    def common(cls, laws: Iterable["Laws"]) -> "Laws":
        """What all of them, at least one, say."""
        return reduce(Laws.__and__, laws)

    def __and__(self, other: "Laws") -> "Laws":
        return Laws(
            rows=self.rows and other.rows,
            columns=self.columns and other.columns,
            symmetric=self.symmetric and other.symmetric,
            two_way=self.two_way and other.two_way,
        )

    @property
    def doubly_stochastic(self) -> bool:
        """Whether rows and columns sum to 1: then mixing keeps the average of the nodes, and they agree on it."""
        return self.rows and self.columns

    def missing(self, promised: "Laws") -> list[str]:
        """Names of what `promised` says and this does not."""
        return [name for name, holds in vars(promised).items() if holds and not getattr(self, name)]

    def after_losses(self, *, to_sender: bool, together: bool) -> "Laws":
        """What is left of the laws where any link may drop out, its weight going to a node's own.

        That of the receiver keeps the rows' sums, that of the sender the columns'. The other sums are kept only where
        the two directions of a link weigh the same and drop out together.

        Args:
            to_sender: whether the weight goes to the sender and not to the receiver.
            together: whether the two directions of a link drop out together.
        """
        even = self.symmetric and together
        return Laws(
            rows=self.rows and (even or not to_sender),
            columns=self.columns and (even or to_sender),
            symmetric=even,
            two_way=self.two_way and together,
        )
