"""Networks with classifiers along their way: a stream of stages for each modality, and an exit after each stage."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from simulator.core.flat_module import EVALUATION_BATCH, FlatModule
from simulator.core.normalizer import Normalizer
from simulator.core.samples import Samples


class MultiExit(nn.Module, ABC):
    """Streams that do not depend on each other, each with internal classifiers and, at its end, a final one.

    An internal classifier learns from what its stage gives and has no say in what the stage does: no gradient goes
    back. By itself the network predicts by the mean of the final classifiers' logits.

    Attributes:
        modalities: one a stream, in the order of the sample's channels.
        stages: exits of each stream; the last is the final one.
    """

    modalities: tuple[str, ...]
    stages: int

    @abstractmethod
    def walk(self, images: Tensor, modality: str) -> Iterator[Tensor]:
        """Logits, float [B, classes], of one exit of a stream after the other; nothing is computed before it is due."""

    @abstractmethod
    def final(self, images: Tensor, modality: str) -> Tensor:
        """Logits, float [B, classes], of a stream's final classifier; internal ones are not run."""

    @abstractmethod
    def internal_parameters(self) -> frozenset[str]:
        """The names of the internal classifiers' parameters."""

    def forward(self, images: Tensor) -> Tensor:
        """The mean of the final classifiers' logits, float [B, classes]."""
        return torch.stack([self.final(images, modality) for modality in self.modalities]).mean(dim=0)


@torch.no_grad()
def exit_logits(model: FlatModule, samples: Samples, normalizer: Normalizer, modalities: Sequence[str] = ()) -> Tensor:
    """float [exits, N, classes] of the bound model, which is a `MultiExit`: stream after stream, stage after stage.

    Args:
        model: the network.
        samples: in their own order, never augmented.
        normalizer: makes them the network's input.
        modalities: the streams; default: all.
    """
    network = multi_exit(model)
    network.eval()
    with model.autocast():
        chunks = [
            torch.stack([logits for each in modalities or network.modalities for logits in network.walk(images, each)])
            for images in (
                normalizer(samples.images_at(rows), model.dtype)
                for rows in torch.split(torch.arange(len(samples)), EVALUATION_BATCH)
            )
        ]
    network.train()
    return torch.cat(chunks, dim=1).to(model.dtype)


def multi_exit(model: FlatModule) -> MultiExit:
    """The network of ``model``, which is known to have exits."""
    assert isinstance(model.module, MultiExit)
    return model.module
