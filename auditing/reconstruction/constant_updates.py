"""The published attack over many hops: updates of all nodes at once, if they hardly change from round to round.

Mrini et al. 2024 (arXiv:2402.10001) take each node's update for a constant and noise, and solve for the constants by
least squares over the messages of many rounds. That is always a number; how far off it is depends on how much updates
change, and grows with every hop by a factor that is the mixing matrix's. The audit has the truth, and says both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auditing.views.record import RunRecord, Stored
from topologies import Network, distances


@dataclass(frozen=True)
class ConstantUpdates:
    """The constants that an observer solves for, and what they should be.

    Attributes:
        network: the links of every round.
        record: of a run, of which the first rounds are all recorded.
        rounds: how many of them.
    """

    network: Network
    record: RunRecord
    rounds: int

    @classmethod
    def of(cls, network: Network, record: RunRecord) -> ConstantUpdates | None:
        """Over all rounds from the first on that were recorded without a gap; None of fewer than two."""
        rounds = 0
        while rounds + 1 in record.rounds:
            rounds += 1
        return cls(network, record, rounds) if rounds > 1 else None

    def errors(self, observers: Sequence[int]) -> dict[str, Any]:
        """Relative errors of what each of ``observers`` finds, by distance; and by how much updates change.

        The error is the distance from the mean of a node's updates, over its norm: 1 is as good as to say 0.
        """
        means, variation = self._truth()
        found = np.stack([self._estimated(observer, means) for observer in observers])
        hops = distances(self.network.base.graph).T[:, list(observers)].T
        return {
            "rounds": self.rounds,
            "variation": variation,
            "by_distance": [
                {"distance": int(far), "pairs": int((hops == far).sum()), "error": float(np.median(found[hops == far]))}
                for far in np.unique(hops[np.isfinite(hops) & (hops > 0)])
            ],
        }

    def _update(self, node: int, round: int) -> Tensor:
        receivers = self.record.receivers(round, node)
        message = self.record.message(round, node, receivers[0]) if receivers else None
        if message is None:  # it was away, or nobody could hear it
            return torch.zeros_like(self.record.load(Stored("start", node, round)))
        return self.record.load(message) - self.record.load(Stored("start", node, round))

    def _truth(self) -> tuple[Tensor, float]:
        """The mean update of each node, float64 [nodes, parameters], and the median of how far single ones are off."""
        means, off = list[Tensor](), list[float]()
        for node in range(self.record.nodes):
            updates = [self._update(node, round) for round in range(1, self.rounds + 1)]
            means.append(torch.stack(updates).mean(0))
            size = float(means[-1].norm())
            off += [float((update - means[-1]).norm()) / size for update in updates if size]
        return torch.stack(means), float(np.median(off))

    def _estimated(self, observer: int, means: Tensor) -> NDArray[np.float64]:
        """The relative error of the observer's estimate of each node's constant, float64 [nodes]; NaN of its own."""
        nodes = self.record.nodes
        coefficients = np.zeros((nodes, nodes))  # of models at the beginning of a round, in the constants
        known = self.record.load(Stored("start", observer, 1)).expand(nodes, -1).clone()
        rows, values = list[NDArray[np.float64]](), list[Tensor]()
        for round in range(1, self.rounds + 1):
            links = self.network.at(round - 1)
            outside = links.active & (np.arange(nodes) != observer)
            coefficients = coefficients + np.diag(outside.astype(np.float64))
            known[observer] += self._update(observer, round)
            for sender in links.in_neighbours(observer):
                message = self.record.message(round, sender, observer)
                if message is not None:
                    rows.append(coefficients[sender])
                    values.append(self.record.load(message) - known[sender])
            weights = self._weights(round)
            coefficients, known = weights @ coefficients, torch.from_numpy(weights) @ known
        solved = np.linalg.lstsq(np.stack(rows), torch.stack(values).numpy(), rcond=None)[0]
        size = means.norm(dim=1).numpy()
        errors = np.linalg.norm(solved - means.numpy(), axis=1) / np.where(size > 0, size, np.nan)
        errors[observer] = np.nan
        return np.asarray(errors)

    def _weights(self, round: int) -> NDArray[np.float64]:
        """W of the round, as the nodes have summed, float64 [nodes, nodes]."""
        matrix = np.zeros((self.record.nodes, self.record.nodes))
        for node in range(self.record.nodes):
            for other, weight in (self.record.weights(round, node) or {node: 1.0}).items():
                matrix[node, other] = weight
        return matrix
