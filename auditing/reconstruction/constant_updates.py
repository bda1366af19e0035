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

from auditing.reconstruction.knowledge import Knowledge
from topologies import distances


@dataclass(frozen=True)
class ConstantUpdates:
    """The constants that observers solve for, and what they should be.

    Attributes:
        knowledge: of the rounds.
    """

    knowledge: Knowledge

    def errors(self, observers: Sequence[int]) -> dict[str, Any]:
        """Relative errors of what each of ``observers`` finds, by distance; and by how much updates change.

        The error is the distance from the mean of a node's updates, over its norm: 1 is as good as to say 0.
        """
        means, variation = self._truth()
        found = np.stack([self._estimated(observer, means) for observer in observers])
        hops = distances(self.knowledge.network.base.graph).T[:, list(observers)].T
        return {
            "rounds": self.knowledge.rounds,
            "variation": variation,
            "by_distance": [
                {"distance": int(far), "pairs": int((hops == far).sum()), "error": float(np.median(found[hops == far]))}
                for far in np.unique(hops[np.isfinite(hops) & (hops > 0)])
            ],
        }

    def _truth(self) -> tuple[Tensor, float]:
        """The mean update of each node, float64 [nodes, parameters], and the median of how far single ones are off."""
        means, off, rounds = list[Tensor](), list[float](), range(1, self.knowledge.rounds + 1)
        for node in range(self.knowledge.record.nodes):
            updates = [made for round in rounds if (made := self.knowledge.update(node, round)) is not None]
            means.append(torch.stack(updates).mean(0))
            size = float(means[-1].norm())
            off += [float((update - means[-1]).norm()) / size for update in updates if size]
        return torch.stack(means), float(np.median(off))

    def _estimated(self, observer: int, means: Tensor) -> NDArray[np.float64]:
        """The relative error of the observer's estimate of each node's constant, float64 [nodes]; NaN of its own."""
        heard = list(self.knowledge.heard(observer))
        matrix = np.stack([each.updates.sum(1) for each in heard])
        values = torch.stack([each.value for each in heard]).numpy()
        solved = np.linalg.lstsq(matrix, values, rcond=None)[0]
        size = means.norm(dim=1).numpy()
        errors = np.linalg.norm(solved - means.numpy(), axis=1) / np.where(size > 0, size, np.nan)
        errors[observer] = np.nan
        return np.asarray(errors)
