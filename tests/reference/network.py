"""Networks of nodes with losses whose answer is known, and what `simulator.testing` steps nodes by hand with."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from simulator.core.flat_module import FlatModule
from simulator.core.method import Method
from simulator.core.node import Node
from simulator.core.training import TrainingSettings
from simulator.testing.network import SteppedNetwork as Network
from simulator.testing.network import random_data, seeded, sgd
from topologies import Topology

__all__ = ["Existing", "Network", "Point", "Quadratic", "quadratics", "random_data", "seeded", "sgd"]


class Existing:
    """A blueprint whose nodes are there already, so that a test can hold them."""

    def __init__(
        self,
        topology: Topology,
        module: Callable[[], FlatModule],
        nodes: Sequence[Node],
        overhearing: Collection[int] = (),
    ) -> None:
        self.topology, self.module, self._nodes, self.overhearing = topology, module, nodes, overhearing

    def nodes(self, ids: Sequence[int]) -> list[Node]:
        return [self._nodes[id] for id in ids]


class Point(nn.Module):
    """A vector and nothing else: for losses that are functions of the parameters."""

    def __init__(self, size: int = 5) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.zeros(size))

    def forward(self, images: Tensor) -> Tensor:
        return self.x[:2].expand(len(images), 2)


class Quadratic(Method):
    """Every sample of a node has the loss curvature / 2 ||x - target||^2."""

    def __init__(self, target: np.ndarray, curvature: float = 1.0) -> None:
        super().__init__(None)
        self._target, self._curvature = torch.tensor(target), curvature

    def per_sample_loss(self, node, batch, logits, losses):
        (x,) = node.model.module.parameters()
        return (self._curvature / 2 * (x - self._target).square().sum()).expand(len(losses))


def quadratics(
    topology: Topology, targets: np.ndarray, start: np.ndarray, training: TrainingSettings, **options: Any
) -> Network:
    """A network in which node i minimises curvature_i / 2 ||x - target_i||^2; ``curvature`` is 1 by default.

    Args:
        topology: the graph and W.
        targets: float [nodes, d].
        start: float [nodes, d].
        training: the optimizer and the local steps.
        **options: of `Network`; further ``curvature`` (float [nodes]), and ``methods`` to follow the loss.
    """
    curvature = options.pop("curvature", np.ones(len(targets)))
    more = options.pop("methods", lambda node: [])
    return Network(
        topology,
        lambda: Point(targets.shape[1]),
        random_data(samples=2, shape=(1, 1, 1), classes=2),
        training,
        methods=lambda i: [Quadratic(targets[i], float(curvature[i])), *more(i)],
        start=start,
        **options,
    )
