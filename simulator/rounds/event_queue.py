"""When each node of an asynchronous network does what: events in simulated time, one pending event a node."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self


@dataclass
class EventQueue:
    """Every node trains, which takes its time, averages with a neighbour, which takes time too, and begins anew.

    Attributes:
        pending: heap of (second, node): when each node does what comes next; of equal times, the lower node's is first.
        training: by node, whether its event ends its training; or else begins it.
        activations: by node, how many it has finished.
        met: by node, how many averagings its neighbours have asked of it since its training began.
        second: simulated time of the last event.
        staleness: sum of ``met`` over the activations finished since it was last taken, and their number.
    """

    pending: list[tuple[float, int]]
    training: list[bool]
    activations: list[int]
    met: list[int]
    second: float = 0.0
    staleness: tuple[int, int] = (0, 0)

    @classmethod
    def of(cls, nodes: int) -> Self:
        """All nodes begin at second 0."""
        return cls([(0.0, node) for node in range(nodes)], [False] * nodes, [0] * nodes, [0] * nodes)

    def begin(self, seconds: Callable[[int, int], float]) -> list[int]:
        """The nodes that begin to train before the next one has finished, in order.

        Args:
            seconds: how long a node (first argument) takes for an activation (second, counted from 0).
        """
        nodes = []
        while not self.training[self.pending[0][1]]:
            self.second, node = self.pending[0]
            heapq.heapreplace(self.pending, (self.second + seconds(node, self.activations[node]), node))
            self.training[node], self.met[node] = True, 0
            nodes.append(node)
        return nodes

    def finishing(self) -> int:
        """The node that finishes its training next, now that no other begins before."""
        self.second, node = self.pending[0]
        return node

    def averaged(self, node: int, neighbour: int, seconds: float) -> None:
        """``node``, which has finished, averages with ``neighbour`` and begins anew ``seconds`` later."""
        heapq.heapreplace(self.pending, (self.second + seconds, node))
        self.training[node] = False
        self.activations[node] += 1
        self.staleness = (self.staleness[0] + self.met[node], self.staleness[1] + 1)
        self.met[neighbour] += 1

    def take_staleness(self) -> float | None:
        """Mean number of averagings asked of a node during its training, since the last call; None if none ended."""
        (total, count), self.staleness = self.staleness, (0, 0)
        return total / count if count else None

    def state_dict(self) -> dict[str, Any]:
        """Everything, as JSON."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """What `state_dict` gave, also after a way through JSON."""
        pending = [(float(second), int(node)) for second, node in state["pending"]]
        total, count = state["staleness"]
        given = {field.name: state[field.name] for field in fields(cls)}
        return cls(**given | {"pending": pending, "staleness": (total, count)})
