"""Features that a network has learnt of samples: what enters its last fully connected layer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn


def classifier(network: nn.Module) -> nn.Linear | None:
    """The last fully connected layer of ``network``, in the order of its modules; None if it has none."""
    return next((layer for layer in reversed(list(network.modules())) if isinstance(layer, nn.Linear)), None)


@contextmanager
def inputs_of(layer: nn.Linear) -> Iterator[list[Tensor]]:
    """What enters ``layer`` while the block lasts, one tensor a forward pass."""
    seen: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        yield seen
    finally:
        handle.remove()
