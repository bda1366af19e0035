"""What is attacked: one node's model, or several whose answers are combined.

Images are pixels here: float [B, height, width, channels] from 0 to 255, not always whole numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import one_hot

from simulator.core.flat_module import FlatModule
from simulator.core.normalizer import Normalizer


@dataclass(frozen=True)
class AttackedModel:
    """A node's network, with everything that the node does to an image before.

    Attributes:
        network: shared by all; in evaluation mode.
        parameters: float [parameters].
        normalizer: the node's.
    """

    network: FlatModule
    parameters: Tensor
    normalizer: Normalizer

    @property
    def is_quantized(self) -> bool:
        """Whether the node transforms its images."""
        return self.normalizer.transform is not None

    def logits(self, images: Tensor, *, naive: bool = False) -> Tensor:
        """Logits, float [B, classes]; gradients go through a quantizer's stand-in (BPDA) unless ``naive``."""
        views = self.network.named_views(self.parameters)
        seen = self.normalizer.of_pixels(images, smooth=not naive)
        logits: Tensor = functional_call(self.network.module, views, (seen,))
        return logits


@dataclass(frozen=True)
class Ensemble:
    """Models that answer together: by the mean of their softmax, or by vote.

    Nothing is random: where a vote is tied, the mean softmax decides.

    Attributes:
        members: at least one.
        vote: whether the class that most members name is the answer.
        naive: whether gradients are the true ones, which quantizers make 0.
    """

    members: Sequence[AttackedModel]
    vote: bool = False
    naive: bool = False

    def logits(self, images: Tensor) -> Iterator[Tensor]:
        """The logits of each member, float [B, classes]."""
        return (member.logits(images, naive=self.naive) for member in self.members)

    def log_probabilities(self, images: Tensor) -> Tensor:
        """The log of the members' mean softmax, float [B, classes]: the smooth face of either way of answering."""
        logs = torch.stack([logits.log_softmax(1) for logits in self.logits(images)])
        return logs.logsumexp(0) - torch.tensor(float(len(self.members))).log()

    @torch.no_grad()
    def answers(self, images: Tensor) -> Tensor:
        """The classes that the ensemble names, int64 [B]."""
        probabilities = torch.stack([logits.softmax(1) for logits in self.logits(images)])
        mean, classes = probabilities.mean(0), probabilities.shape[2]
        if not self.vote:
            return mean.argmax(1)
        return (one_hot(probabilities.argmax(2), classes).sum(0) + mean / 2).argmax(1)

    def right(self, images: Tensor, labels: Tensor) -> Tensor:
        """Where the ensemble names the label, bool [B]."""
        return self.answers(images) == labels
