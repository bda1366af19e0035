"""What a worker does with its nodes between two exchanges: train them, and measure them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from simulator.core.flat_module import FlatModule
from simulator.core.node import Node
from simulator.training.evaluation import Scores


class Trainer(ABC):
    """Runs local steps and evaluations of many nodes, in one thread.

    Args:
        module: the network, lent to one node at a time.

    Attributes:
        typical: how many nodes show its pace.
    """

    typical: ClassVar[int] = 1

    def __init__(self, module: FlatModule) -> None:
        self.module = module

    @abstractmethod
    def train(self, nodes: Sequence[Node]) -> None:
        """Move the parameters of each node by its ``local_steps`` of this round, with the methods' hooks in place."""

    @abstractmethod
    def evaluate(self, nodes: Sequence[Node]) -> list[Scores]:
        """Each node's score on the test set."""
