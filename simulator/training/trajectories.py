"""Statistics of single samples over the course of training, in memory that does not grow with its length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulator.training.observations import SampleStatistics

NEVER = -1
STATE = ("count", "forgotten", "loss", "margin", "probability_margin", "error", "correct", "learned")
Arrays = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float64]


class Trajectories:
    """What has been observed of N samples, one observation after the other, summed up sample by sample.

    Args:
        samples: N.
        early: the error is averaged over a sample's first so many observations.
        keep: keep every loss as well, in memory O(N observations).
    """

    def __init__(self, samples: int, early: int = 10, *, keep: bool = False) -> None:
        self._early, self._keep = early, keep
        self._count, self._forgotten = (torch.zeros(samples, dtype=torch.int64) for _ in range(2))
        self._loss, self._error = (torch.zeros(samples, dtype=torch.float64) for _ in range(2))
        self._margin, self._probability_margin = (torch.zeros(samples, dtype=torch.float64) for _ in range(2))
        self._correct = torch.zeros(samples, dtype=torch.bool)
        self._learned = torch.full((samples,), NEVER)
        self._losses = torch.empty(0, samples, dtype=torch.float64)

    def add(self, positions: Tensor, seen: SampleStatistics, rounds: Tensor) -> None:
        """Take in observations.

        Args:
            positions: int64 [B], of which samples; where one comes more than once, the earlier observation first.
            seen: of these B.
            rounds: int64 [B], in which round each was made, counted from 1.
        """
        for rows in visits(positions):
            self._add(positions[rows], seen.at(rows), rounds[rows])

    def _add(self, at: Tensor, seen: SampleStatistics, rounds: Tensor) -> None:
        """Each sample once."""
        correct, count = seen.correct, self._count[at]
        self._loss[at] += seen.loss
        self._margin[at] += seen.margin
        self._probability_margin[at] += seen.probability_margin
        self._error[at] += seen.error * (count < self._early)
        self._forgotten[at] += self._correct[at] & ~correct
        self._learned[at] = rounds.where(correct & (self._learned[at] == NEVER), self._learned[at])
        self._correct[at] = correct
        if self._keep:
            self._write(count, at, seen.loss)
        self._count[at] = count + 1

    def _write(self, visit: Tensor, at: Tensor, losses: Tensor) -> None:
        missing = int(visit.max()) + 1 - len(self._losses)
        if missing > 0:
            self._losses = torch.cat([self._losses, self._losses.new_zeros(missing, len(self._count))])
        self._losses[visit, at] = losses

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The statistics, each [N] in the samples' order; means are NaN of samples that were never observed.

        ``observations`` counts them. ``cumulative_loss`` is the sum of the losses (CSL, Ravikumar et al., "Towards
        Memorization Estimation: Fast, Formal and Free", ICML 2025). ``mean_margin`` is the area under the margin (AUM,
        Pleiss et al. 2020), ``mean_probability_margin`` that of probabilities in place of logits. ``el2n`` is the mean
        error of the first observations (Paul et al. 2021). ``forgetting`` counts changes from correct to wrong between
        one observation and the next; a sample that was never correct has as many as observations, more than any other
        can have (Toneva et al. 2019, arXiv:1812.05159, and its code). ``learned_in`` is the round of the first correct
        observation, or -1. Where all is kept, ``losses`` is float64 [observations, N]: row r has the r-th loss of each
        sample, or NaN.
        """
        found = {
            "observations": self._count,
            "cumulative_loss": self._loss,
            "mean_margin": self._margin / self._count,
            "mean_probability_margin": self._probability_margin / self._count,
            "el2n": self._error / self._count.clamp(max=self._early),
            "forgetting": self._forgotten.where(self._learned != NEVER, self._count),
            "learned_in": self._learned,
        }
        if self._keep:
            made = torch.arange(len(self._losses))[:, None] < self._count
            found["losses"] = self._losses.where(made, torch.nan)
        return {name: values.numpy().copy() for name, values in found.items()}

    def state_dict(self) -> dict[str, Tensor]:
        """Everything, as named tensors."""
        return {name: getattr(self, f"_{name}") for name in (*STATE, *(("losses",) if self._keep else ()))}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from `state_dict`."""
        for name in self.state_dict():
            setattr(self, f"_{name}", state[name].to("cpu", copy=True))


def visits(positions: Tensor) -> Iterator[Tensor]:
    """The places in ``positions`` (int64 [B]) of each number's first occurrence, then those of the second, ..."""
    order = positions.argsort(stable=True)
    ordered = positions[order]
    earlier = torch.empty_like(order)
    earlier[order] = torch.arange(len(order)) - torch.searchsorted(ordered, ordered)
    for visit in range(int(earlier.max()) + 1 if len(order) else 0):
        yield (earlier == visit).nonzero()[:, 0]


def suspicion(found: Arrays) -> dict[str, Floats]:
    """Scores float64 [N], high for samples that look mislabelled or memorized, of `Trajectories.arrays`.

    The cumulative loss is divided by the number of observations, so that samples observed once more are not worse for
    it. A sample never observed has NaN in all.
    """
    unseen = np.where(found["observations"] > 0, 0.0, np.nan)
    never, rounds = found["learned_in"] == NEVER, found["learned_in"].astype(np.float64)
    return {
        "cumulative loss": found["cumulative_loss"] / (found["observations"] + unseen),
        "area under the margin": -found["mean_margin"],
        "EL2N": found["el2n"],
        "forgetting": found["forgetting"] + unseen,
        "round first learned": -np.divide(1, rounds, where=~never, out=np.zeros_like(rounds)) + unseen,  # never: last
    }
