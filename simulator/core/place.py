"""Where nodes stand in the network: whom they send to, and how they weigh what they hear."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

from topologies import Links, Topology


@dataclass(frozen=True)
class Place:
    """Where a node stands in the network.

    Attributes:
        id: the node's number.
        weights: its row of the mixing matrix: weight by node id, itself included.
        receivers: the neighbours it sends to, sorted.
        active: whether it takes part; a node that is away keeps its state and does nothing.
        rows: by receiver, that one's row of the mixing matrix, as ``weights`` is the node's own.
    """

    id: int
    weights: Mapping[int, float]
    receivers: tuple[int, ...]
    active: bool = True
    rows: Mapping[int, Mapping[int, float]] = field(default_factory=dict)

    @classmethod
    def among(cls, links: Links | Topology, id: int, active: bool = True) -> Self:
        """Where the node ``id`` stands where nodes are linked like that."""
        receivers = links.out_neighbours(id)
        return cls(id, links.row(id), receivers, active, {receiver: links.row(receiver) for receiver in receivers})


@dataclass(frozen=True)
class Places(Mapping[int, Place]):
    """Where all nodes stand in a round that has these links; each place is worked out when it is asked for."""

    links: Links

    def __getitem__(self, id: int) -> Place:
        return Place.among(self.links, id, bool(self.links.active[id]))

    def __contains__(self, id: object) -> bool:
        return id in range(len(self))

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self)))

    def __len__(self) -> int:
        return self.links.num_nodes
