"""Mixing: what can be said of nodes that are linked and weigh what they hear, for good or for one round."""

from abc import ABC, abstractmethod

from topologies.weights import Matrix, is_column_stochastic, is_doubly_stochastic, is_symmetric


class Mixing(ABC):
    """Nodes 0..n-1, the links between them, and the weights W, float64 [n, n]."""

    weights: Matrix

    @property
    def num_nodes(self) -> int:
        """Number of nodes n."""
        return len(self.weights)

    @abstractmethod
    def in_neighbours(self, node: int) -> tuple[int, ...]:
        """Nodes that `node` hears from, ascending, without itself."""

    @abstractmethod
    def out_neighbours(self, node: int) -> tuple[int, ...]:
        """Nodes that `node` sends to, ascending, without itself."""

    @property
    def is_symmetric(self) -> bool:
        """Whether W is symmetric within 1e-12."""
        return is_symmetric(self.weights)

    @property
    def is_doubly_stochastic(self) -> bool:
        """Whether rows and columns of W sum to 1 within 1e-12: then mixing preserves the average of the nodes."""
        return is_doubly_stochastic(self.weights)

    @property
    def is_column_stochastic(self) -> bool:
        """Whether the columns of W sum to 1 within 1e-12: then mixing preserves the sum over the nodes."""
        return is_column_stochastic(self.weights)

    def row(self, node: int) -> dict[int, float]:
        """Weights that `node` uses, by node in ascending order: its own and those of all it hears from."""
        return {j: float(self.weights[node, j]) for j in sorted((node, *self.in_neighbours(node)))}

    def edges(self) -> list[tuple[int, int]]:
        """Directed links (sender, receiver), ascending; an undirected edge gives one in each direction."""
        return [(sender, receiver) for sender in range(self.num_nodes) for receiver in self.out_neighbours(sender)]
