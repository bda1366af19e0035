"""Views: which model an attacker holds, who asks whether a sample was in a victim's training set.

Of a run that kept nothing but checkpoints there are the nodes' final models, after the last mixing. Messages from
before mixing give away more and are not among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from simulator.core.node import Node
from topologies import Topology, distances


@dataclass(frozen=True)
class View:
    """Attackers who stand alike.

    Attributes:
        name: what they hold.
        pairs: (victim, model): candidates of node ``victim`` are judged by row ``model`` of `final_models`.
        distance: from the victim to those who hold the model, in hops; None where it is no node's.
    """

    name: str
    pairs: tuple[tuple[int, int], ...]
    distance: int | None = None


def views_of(topology: Topology) -> list[View]:
    """Whoever is given the victim's own model; each node with its own, by distance; the mean of all models.

    Distances follow the links that messages take, from the victim to the observer.
    """
    hops = distances(topology.graph).T
    nodes = range(topology.num_nodes)
    found = []
    for distance in range(int(hops.max()) + 1):
        pairs = tuple((v, u) for v in nodes for u in nodes if hops[v, u] == distance)
        found.append(View(f"distance {distance}" if distance else "final model", pairs, distance))
    return [*found, View("consensus", tuple((v, topology.num_nodes) for v in nodes))]


def final_models(nodes: Sequence[Node]) -> Tensor:
    """float64 [nodes + 1, parameters]: the nodes' models at the last checkpoint, and their mean."""
    models = torch.stack([node.parameters.to(torch.float64) for node in nodes])
    return torch.cat([models, models.mean(0, keepdim=True)])
