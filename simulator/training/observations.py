"""What a forward pass shows of single samples, and the two ways to get one: beside training, or apart from it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from simulator.core.node import Node
from simulator.core.samples import Batch, Samples


class SampleStatistics(NamedTuple):
    """Of B samples, on the CPU.

    Attributes:
        loss: float64 [B], cross-entropy.
        margin: float64 [B], the logit of the label over the largest other one (Pleiss et al. 2020, arXiv:2001.10528).
        probability_margin: float64 [B], the same of probabilities, from -1 to 1 (as in the released code of CCS).
        error: float64 [B], ||softmax - onehot||_2, from 0 to sqrt 2 (EL2N, Paul et al. 2021, arXiv:2107.07075).
    """

    loss: Tensor
    margin: Tensor
    probability_margin: Tensor
    error: Tensor

    @property
    def correct(self) -> Tensor:
        """bool [B]: the label's logit is the largest, alone."""
        return self.margin > 0

    def at(self, rows: Tensor) -> SampleStatistics:
        """Of the samples ``rows`` (int64 [b]) only."""
        return SampleStatistics(*(values[rows] for values in self))


def observe(logits: Tensor, labels: Tensor) -> SampleStatistics:
    """What ``logits`` (float [B, classes]) say of samples with these ``labels`` (int64 [B])."""
    logits, own = logits.detach().to("cpu", torch.float64), labels.cpu()[:, None]
    log_probabilities = logits.log_softmax(dim=1)
    probabilities = log_probabilities.exp()
    return SampleStatistics(
        loss=-log_probabilities.gather(1, own)[:, 0],
        margin=_over_rivals(logits, own),
        probability_margin=_over_rivals(probabilities, own),
        error=probabilities.sub(torch.zeros_like(logits).scatter(1, own, 1)).norm(dim=1),
    )


def _over_rivals(values: Tensor, own: Tensor) -> Tensor:
    """float64 [B]: of the classes' ``values`` the ``own`` one's (int64 [B, 1]) less the largest other one."""
    return values.gather(1, own)[:, 0] - values.scatter(1, own, -torch.inf).amax(dim=1)


def evaluated(node: Node, samples: Samples) -> SampleStatistics:
    """A forward pass of the node's current model over ``samples``: in evaluation mode, as they are, in their order."""
    return observe(node.outputs(samples), samples.targets_at(torch.arange(len(samples))))


class Passing:
    """A node's own training samples as they pass through its local steps, augmented, by the model of the moment.

    No forward pass is made for it. Logits are kept until they are asked for, since few large sums are faster than many
    small ones.

    Args:
        node: whose samples; their labels are those it trains on.
    """

    def __init__(self, node: Node) -> None:
        train = node.data.train
        self._labels = train.targets_at(torch.arange(len(train))).cpu()
        self._forget()

    def __len__(self) -> int:
        """How many looks are kept."""
        return sum(map(len, self._positions))

    def note(self, round: int, batch: Batch, logits: Tensor) -> None:
        """Keep the logits of a step (float [B, classes]); a method's ``per_sample_loss`` is given them."""
        self._rounds.append(torch.full_like(batch.positions, round))
        self._positions.append(batch.positions)
        self._logits.append(logits.detach())

    def take(self) -> tuple[Tensor, SampleStatistics, Tensor]:
        """What has been noted since the last time, for `Trajectories.add`; public samples are left out.

        Returns:
            Positions in the training set (int64 [M]; one can come more than once, the earlier look first), what was
            seen, and the rounds (int64 [M]).
        """
        positions, rounds, logits = map(torch.cat, (self._positions, self._rounds, self._logits))
        self._forget()
        private = (positions < len(self._labels)).nonzero()[:, 0]
        positions = positions[private]
        return positions, observe(logits[private.to(logits.device)], self._labels[positions]), rounds[private]

    def _forget(self) -> None:
        self._positions, self._rounds, self._logits = list[Tensor](), list[Tensor](), list[Tensor]()
