"""Mixing: what can be said of nodes that are linked and weigh what they hear, for good or for one round."""

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from topologies.memory import check_room_for_square
from topologies.weights import Matrix, is_column_stochastic, is_doubly_stochastic, is_symmetric


class Mixing(ABC):
    """Nodes 0..n-1, the links between them, and how they weigh what they hear.

    Attributes:
        matrix: W, float64 [n, n], sparse, by rows, without explicit zeros, read-only.
    """

    matrix: csr_array

    @property
    def num_nodes(self) -> int:
        """Number of nodes n."""
        return int(self.matrix.shape[0])

    @cached_property
    def weights(self) -> Matrix:
        """W with all its zeros, float64 [n, n], read-only: for what works on small networks.

        Raises:
            TopologyError: there is no room for it.
        """
        check_room_for_square(self.num_nodes)
        weights: Matrix = self.matrix.toarray()
        weights.setflags(write=False)
        return weights

    @abstractmethod
    def in_neighbours(self, node: int) -> tuple[int, ...]:
        """Nodes that `node` hears from, ascending, without itself."""

    @abstractmethod
    def out_neighbours(self, node: int) -> tuple[int, ...]:
        """Nodes that `node` sends to, ascending, without itself."""

    @property
    def is_symmetric(self) -> bool:
        """Whether W is symmetric within 1e-12."""
        return is_symmetric(self.matrix)

    @property
    def is_doubly_stochastic(self) -> bool:
        """Whether rows and columns of W sum to 1 within 1e-12: then mixing preserves the average of the nodes."""
        return is_doubly_stochastic(self.matrix)

    @property
    def is_column_stochastic(self) -> bool:
        """Whether the columns of W sum to 1 within 1e-12: then mixing preserves the sum over the nodes."""
        return is_column_stochastic(self.matrix)

    def row(self, node: int) -> dict[int, float]:
        """Weights that `node` uses, by node in ascending order: its own and those of all it hears from."""
        held = dict(zip(self.heard(node).tolist(), self._entries(node).tolist(), strict=True))
        return {j: held.get(j, 0.0) for j in sorted((node, *self.in_neighbours(node)))}

    def heard(self, node: int) -> NDArray[np.integer[Any]]:
        """Nodes to which `node` gives weight, ascending, itself among them if it does."""
        begin, end = self.matrix.indptr[node : node + 2]
        return np.asarray(self.matrix.indices[begin:end])

    def _entries(self, node: int) -> Matrix:
        begin, end = self.matrix.indptr[node : node + 2]
        return np.asarray(self.matrix.data[begin:end])

    def edges(self) -> list[tuple[int, int]]:
        """Directed links (sender, receiver), ascending; an undirected edge gives one in each direction."""
        return [(sender, receiver) for sender in range(self.num_nodes) for receiver in self.out_neighbours(sender)]


def sealed(matrix: csr_array | Matrix) -> csr_array:
    """W as `Mixing` keeps it: itself, if it is one that is kept already, or a copy."""
    if isinstance(matrix, csr_array) and _is_sealed(matrix):
        return matrix
    kept = csr_array(matrix, dtype=np.float64, copy=True)
    kept.eliminate_zeros()
    kept.sort_indices()
    for part in (kept.data, kept.indices, kept.indptr):
        part.setflags(write=False)
    return kept


def _is_sealed(matrix: csr_array) -> bool:
    protected = not any(part.flags.writeable for part in (matrix.data, matrix.indices, matrix.indptr))
    return protected and matrix.dtype == np.float64 and bool(matrix.has_canonical_format and matrix.data.all())
