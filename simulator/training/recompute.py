"""Running statistics made anew for a model that nobody has trained, such as the mean of all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from simulator.core.arrays import called, mapped
from simulator.core.buffers.discovery import Normalisation
from simulator.core.buffers.layout import Buffers
from simulator.core.flat_module import FlatModule
from simulator.core.samples import NodeData
from simulator.core.seeding import generator


@dataclass(frozen=True)
class Recompute:
    """Passes training batches of every node through a model and merges the statistics of its own activations.

    Every batch is one part of the data, of its own mean and variance: see `Layout.merged`. State that is neither a mean
    nor a variance stays as it is.

    Attributes:
        batches: how many of each node, fewer where it has less.
        batch_size: samples of each.
        seed: decides which ones.
    """

    batches: int
    batch_size: int
    seed: int

    @torch.no_grad()
    def __call__(
        self, module: FlatModule, parameters: Tensor, buffers: Buffers, nodes: Sequence[tuple[int, NodeData]]
    ) -> Buffers:
        """The state of the model with ``parameters``.

        Args:
            module: computes it.
            parameters: float [parameters].
            buffers: what it has so far; not changed.
            nodes: whose batches, with their numbers.
        """
        terms = []
        with _statistics_of_one_batch(module):
            for number, data in nodes:
                for rows in self._rows(number, len(data.train)):
                    of_batch = module.buffers_of(buffers.running)
                    assert of_batch is not None  # the network keeps state
                    module.bind(parameters, of_batch)
                    inputs = data.preparation(data.train.inputs_at(rows), module.dtype)
                    with module.autocast():
                        called(module.module, mapped(inputs, lambda array: array.to(module.device)))
                    terms.append((float(len(rows)), of_batch.running))
        merged = buffers.layout.merged(terms)
        return buffers.holding(torch.where(buffers.layout.is_moment(merged), merged, buffers.running))

    def _rows(self, number: int, samples: int) -> Iterator[Tensor]:
        """int64 [B] of each batch; one of a single sample, which has no variance, only where there is no other."""
        drawn = generator(self.seed, "buffers.recompute", node=number).permutation(samples)
        pieces = torch.split(torch.from_numpy(drawn[: self.batches * self.batch_size]), self.batch_size)
        yield from (piece for piece in pieces if len(piece) > 1 or len(pieces) == 1)


@contextmanager
def _statistics_of_one_batch(module: FlatModule) -> Iterator[None]:
    """Only normalisation is in training mode within the block, and forgets all but the last batch."""
    layers: list[nn.Module] = [layer for layer in module.module.modules() if isinstance(layer, Normalisation)]
    layers = [layer for layer in layers if layer.training]
    momenta = [layer.momentum for layer in layers]
    module.module.eval()
    for layer in layers:
        layer.training, layer.momentum = True, 1.0  # type: ignore[assignment]
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        module.train()
