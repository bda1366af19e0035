"""Links: who sends to whom in one round, and with which weights."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from topologies.errors import require
from topologies.mixing import Mixing
from topologies.validation import check_matrix
from topologies.weights import Matrix, block_diagonal


@dataclass(frozen=True, eq=False)
class Links(Mixing):
    """What happens between the nodes 0..n-1, those away included, in one round; cannot be changed.

    Attributes:
        weights: W, float64 [n, n], read-only; W[i, j] > 0 for j != i means that j sends to i. Rows sum to 1.
        active: bool [n], read-only; a node that is away neither trains nor sends nor hears, so its row and column of W
            are those of the identity.
        push: whether it is the columns of W, and not the rows, that are bound to sum to 1, as push-sum needs.

    Raises:
        TopologyError: W or `active` breaks one of these promises.
    """

    weights: Matrix
    active: NDArray[np.bool_]
    push: bool = False

    def __post_init__(self) -> None:
        for name, kind in (("weights", np.float64), ("active", np.bool_)):
            values = np.array(getattr(self, name), dtype=kind)
            values.setflags(write=False)
            object.__setattr__(self, name, values)
        self.validate()

    @classmethod
    def everyone(cls, weights: Matrix, push: bool = False) -> Self:
        """Links of a round in which no node is away.

        Raises:
            TopologyError: W is not stochastic.
        """
        return cls(weights, np.ones(len(weights), dtype=np.bool_), push)

    def copies(self, number: int) -> Self:
        """What happens in so many copies of the network at once, numbered as by `Topology.copies`."""
        return type(self)(block_diagonal(self.weights, number), np.tile(self.active, number), self.push)

    def in_neighbours(self, node: int) -> tuple[int, ...]:
        """Nodes that `node` hears from, ascending, without itself."""
        return tuple(j for j in np.flatnonzero(self.weights[node]).tolist() if j != node)

    def out_neighbours(self, node: int) -> tuple[int, ...]:
        """Nodes that `node` sends to, ascending, without itself."""
        return tuple(i for i in np.flatnonzero(self.weights[:, node]).tolist() if i != node)

    def validate(self) -> None:
        """Check what the class promises; runs on construction.

        Raises:
            TopologyError: a promise is broken.
        """
        check_matrix(self.weights, len(self.active), self.push)
        changed = self.weights != np.eye(self.num_nodes)
        linked = ~self.active & (changed.any(axis=0) | changed.any(axis=1))
        wrong = f"Nodes {np.flatnonzero(linked).tolist()} are away, but W links them to others."
        require(not linked.any(), wrong, "Give them the rows and columns of the identity.", "active")
