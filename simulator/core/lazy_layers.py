"""Layers that find out their shapes when they see samples, such as ``nn.LazyLinear``."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from simulator.core.arrays import Arrays, called
from simulator.core.errors import wrong


def give_shapes(network: nn.Module, inputs: Arrays) -> None:
    """Let lazy layers make their parameters, of torch's random numbers as they come.

    Args:
        network: as it was made.
        inputs: of a few samples.

    Raises:
        InputError: it cannot take them, or has lazy layers that they do not reach.
    """
    if not _lazy(network):
        return
    network.eval()
    try:
        with torch.no_grad():
            called(network, inputs)
    except Exception as error:
        what = f"lazy layers get their shapes in a first pass, which fails with {type(error).__name__}: {error}."
        raise wrong("model", what, "Try it on a batch of the data.") from error
    finally:
        network.train()
    if left := _lazy(network):
        what = f"the lazy parameter '{left[0]}' has no shape after a first pass: forward does not use it."
        raise wrong("model", what, "Leave its layer out, or give it its shape: nn.Linear in place of nn.LazyLinear.")


def _lazy(network: nn.Module) -> list[str]:
    tensors = (*network.named_parameters(), *network.named_buffers())
    return [name for name, each in tensors if is_lazy(each)]
