"""What exits cost: multiply-accumulate operations, counted while the network runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from simulator.core.errors import wrong
from simulator.core.multi_exit import MultiExit

COUNTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Costs:
    """MACs of one sample, int64 [exits] each, in the order in which exits are passed.

    Attributes:
        backbone: from the exit before, of the same stream, to this one; with its classifier where that is the final.
        classifier: of the exit's internal classifier; 0 where it is the final one.
        stages: exits of each stream.
    """

    backbone: Integers
    classifier: Integers
    stages: int

    @property
    def passed(self) -> Integers:
        """The MACs of a sample that leaves here, having been tried at every exit before."""
        return np.cumsum(self.backbone + self.classifier)

    @property
    def alone(self) -> Integers:
        """The MACs of a sample that is run to this exit, in this stream alone, with no other classifier."""
        return np.cumsum(self.backbone.reshape(-1, self.stages), axis=1).ravel() + self.classifier


class MacCounter:
    """MACs of convolutions and linear layers since the last look, by what layer they are of."""

    def __init__(self, internal: frozenset[str]) -> None:
        self._internal = internal
        self._classifier = self._backbone = 0

    def note(self, name: str, layer: nn.Module, output: Tensor) -> None:
        """Count a layer that has run: for each number that it gives, the weights that went into it."""
        weight = layer.weight
        assert isinstance(weight, Tensor)
        macs = output.numel() * weight[0].numel()
        if f"{name}.weight" in self._internal:
            self._classifier += macs
        else:
            self._backbone += macs

    def take(self) -> tuple[int, int]:
        """MACs of backbones and of internal classifiers since the last call."""
        found, self._backbone, self._classifier = (self._backbone, self._classifier), 0, 0
        return found


@torch.no_grad()
def costs(network: MultiExit, image: Tensor, modalities: Sequence[str]) -> Costs:
    """Run one sample, float [1, channels, height, width], through the streams and count at every exit.

    Normalisations, activations and pooling are not counted, as is usual.

    Raises:
        InputError: the network has layers that are not counted here.
    """
    with _counting(network) as ledger:
        taken = [ledger.take() for modality in modalities for _ in network.walk(image, modality)]
    backbone, classifier = np.array(taken, dtype=np.int64).T
    return Costs(backbone, classifier, network.stages)


@contextmanager
def _counting(network: MultiExit) -> Iterator[MacCounter]:
    ledger, handles = MacCounter(network.internal_parameters()), []
    for name, layer in network.named_modules():
        if isinstance(layer, COUNTED):
            handles.append(
                layer.register_forward_hook(lambda layer, _, output, name=name: ledger.note(name, layer, output))
            )
        elif any(parameter.dim() > 1 for parameter in layer.parameters(recurse=False)):
            what = f"{name}, {type(layer).__name__}, is a layer whose operations are not counted."
            raise wrong("model", what, "Use convolutions and linear layers.")
    try:
        yield ledger
    finally:
        for handle in handles:
            handle.remove()
