"""Links: who sends to whom in one round, and with which weights."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array, eye_array

from topologies.errors import require
from topologies.mixing import Mixing, sealed
from topologies.validation import check_matrix
from topologies.weights import block_diagonal


@dataclass(frozen=True, eq=False)
class Links(Mixing):
    """What happens between the nodes 0..n-1, those away included, in one round; cannot be changed.

    Attributes:
        matrix: W, float64 [n, n], read-only; W[i, j] > 0 for j != i means that j sends to i. Rows sum to 1.
        active: bool [n], read-only; a node that is away neither trains nor sends nor hears, so its row and column of W
            are those of the identity.
        push: whether it is the columns of W, and not the rows, that are bound to sum to 1, as push-sum needs.

    Raises:
        TopologyError: W or `active` breaks one of these promises.
    """

    matrix: csr_array
    active: NDArray[np.bool_]
    push: bool = False

    def __post_init__(self) -> None:
        active = np.array(self.active, dtype=np.bool_)
        active.setflags(write=False)
        object.__setattr__(self, "active", active)
        object.__setattr__(self, "matrix", sealed(self.matrix))
        self.validate()

    @classmethod
    def everyone(cls, matrix: csr_array, push: bool = False) -> Self:
        """Links of a round in which no node is away.

        Raises:
            TopologyError: W is not stochastic.
        """
        return cls(matrix, np.ones(matrix.shape[0], dtype=np.bool_), push)

    def copies(self, number: int) -> Self:
        """What happens in so many copies of the network at once, numbered as by `Topology.copies`."""
        return type(self)(block_diagonal(self.matrix, number), np.tile(self.active, number), self.push)

    def in_neighbours(self, node: int) -> tuple[int, ...]:
        """Nodes that `node` hears from, ascending, without itself."""
        return tuple(j for j in self.heard(node).tolist() if j != node)

    def out_neighbours(self, node: int) -> tuple[int, ...]:
        """Nodes that `node` sends to, ascending, without itself."""
        begin, end = self._by_sender.indptr[node : node + 2]
        return tuple(i for i in self._by_sender.indices[begin:end].tolist() if i != node)

    @cached_property
    def _by_sender(self) -> csc_array:
        return csc_array(self.matrix)

    def validate(self) -> None:
        """Check what the class promises; runs on construction.

        Raises:
            TopologyError: a promise is broken.
        """
        check_matrix(self.matrix, len(self.active), self.push)
        if self.active.all():
            return
        changed = (self.matrix - eye_array(self.num_nodes)).astype(np.bool_)
        linked = ~self.active & ((changed.sum(axis=0) > 0) | (changed.sum(axis=1) > 0))
        wrong = f"Nodes {np.flatnonzero(linked).tolist()} are away, but W links them to others."
        require(not linked.any(), wrong, "Give them the rows and columns of the identity.", "active")
