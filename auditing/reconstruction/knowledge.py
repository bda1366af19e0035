"""What an observer has heard over consecutive rounds, as linear functions of what it does not know."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auditing.views.record import RunRecord, Stored
from topologies import Network

Floats = NDArray[np.float64]


class Heard(NamedTuple):
    """A message without all that its receiver knows to be in it.

    Attributes:
        updates: float64 [nodes, rounds], how much of the update of each node in each round is in it; 0 of the observer.
        value: float64 [parameters].
    """

    updates: Floats
    value: Tensor


@dataclass(frozen=True)
class Knowledge:
    """Rounds of a run that are all recorded, from the first on.

    Attributes:
        network: the links of every round.
        record: of the run.
        rounds: how many.
    """

    network: Network
    record: RunRecord
    rounds: int

    @classmethod
    def of(cls, network: Network, record: RunRecord) -> Knowledge | None:
        """All rounds up to the first that was not recorded; None of fewer than two."""
        rounds = 0
        while rounds + 1 in record.rounds:
            rounds += 1
        return cls(network, record, rounds) if rounds > 1 else None

    def update(self, node: int, round: int) -> Tensor | None:
        """What the node added to its model, float64 [parameters]; None where it was away, or it is not recorded."""
        trained = self._trained(node, round)
        return None if trained is None else trained - self.record.load(Stored("start", node, round))

    def _trained(self, node: int, round: int) -> Tensor | None:
        """The model with the update: as it was sent or, by a node that nobody could hear, as it was mixed."""
        if receivers := self.record.receivers(round, node):
            sent = self.record.message(round, node, receivers[0])
            return None if sent is None else self.record.load(sent)
        weights, mixed = self.record.weights(round, node), self._mixed(node, round)
        if weights is None or mixed is None or not weights.get(node):
            return None
        for other in weights.keys() - {node}:
            message = self.record.message(round, other, node)
            if message is None:
                return None
            mixed = mixed - weights[other] * self.record.load(message)
        return mixed / weights[node]

    def _mixed(self, node: int, round: int) -> Tensor | None:
        """The node's model after mixing; where it was not kept, that which it began the next round with."""
        if self.record.keeps("mixed"):
            return self.record.load(Stored("mixed", node, round))
        return self.record.load(Stored("start", node, round + 1)) if round < self.rounds else None

    def heard(self, observer: int) -> Iterator[Heard]:
        """All messages to ``observer``; what it knows is the common start and what it has added itself."""
        nodes = self.record.nodes
        models = np.zeros((nodes, nodes, self.rounds))
        known = self.record.load(Stored("start", observer, 1)).expand(nodes, -1).clone()
        for round in range(1, self.rounds + 1):
            links, weights = self.network.at(round - 1), self._weights(round)
            outside = np.flatnonzero(links.active & (np.arange(nodes) != observer))
            models[outside, outside, round - 1] += 1
            if (own := self.update(observer, round)) is not None:
                known[observer] += own
            for sender in links.in_neighbours(observer):
                message = self.record.message(round, sender, observer)
                if message is not None:
                    yield Heard(models[sender].copy(), self.record.load(message) - known[sender])
            models = np.tensordot(weights, models, 1)
            known = torch.from_numpy(weights) @ known

    def estimated(self, observer: int, node: int, round: int) -> tuple[Tensor, float]:
        """The best linear estimate of an update, float64 [parameters], and the norm of its coefficients.

        Best where all updates are independent and of the same size: the smallest that agree with what was heard.
        """
        heard = list(self.heard(observer))
        matrix = np.stack([each.updates.ravel() for each in heard])
        inverse = np.linalg.pinv(matrix, rcond=1e-10)
        coefficients = inverse[node * self.rounds + round - 1]
        total = sum(float(factor) * each.value for factor, each in zip(coefficients, heard, strict=True))
        return torch.as_tensor(total), float(np.linalg.norm(coefficients))

    def _weights(self, round: int) -> Floats:
        """W of the round, as the nodes have summed, float64 [nodes, nodes]."""
        matrix = np.zeros((self.record.nodes, self.record.nodes))
        for node in range(self.record.nodes):
            for other, weight in (self.record.weights(round, node) or {node: 1.0}).items():
                matrix[node, other] = weight
        return matrix
