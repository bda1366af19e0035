"""How many nodes are trained as one program."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from simulator.core.node import Node
from simulator.training.feed import batch_length
from simulator.training.hooks import combines
from simulator.training.stacked_module import StackedModule

CACHED_BYTES = 16 * 2**20  # of a chunk on a CPU: more falls out of its cache
FEWEST = 8  # nodes a chunk on a CPU: with fewer, the price of vectorising is not earned back
SHARE_OF_GPU = 0.4  # of its memory, for a chunk


def nodes_a_chunk(stacked: StackedModule, node: Node) -> int:
    """How many nodes like ``node`` fit into a CPU's cache or a GPU's memory; the same whenever asked on a machine."""
    by_sample = combines(node)
    vector = node.parameters.nbytes * (batch_length(node) if by_sample else 1)
    activations = batch_length(node) * bytes_kept(stacked, node.data.train.images.shape[1:])
    if node.parameters.device.type == "cpu":
        return max(1 if by_sample else FEWEST, CACHED_BYTES // (2 * vector + activations))
    memory = torch.cuda.get_device_properties(node.parameters.device).total_memory
    # A vector each for parameters, momentum, the gradient and its parts; gradients of activations come and go.
    return max(1, int(SHARE_OF_GPU * memory) // (4 * vector + 2 * activations))


@lru_cache(maxsize=8)
def bytes_kept(stacked: StackedModule, shape: torch.Size) -> int:
    """What a forward pass keeps for the backward pass, for one image of ``shape`` (height, width, channels)."""
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    height, width, channels = shape
    matrix = stacked.module.initial[None].clone().requires_grad_()
    with saved_tensors_hooks(note, lambda tensor: tensor):
        logits = stacked.logits(matrix, matrix.new_zeros(1, 1, channels, height, width))
    kept.pop(matrix.untyped_storage().data_ptr(), None)
    return sum(kept.values()) + logits.nbytes
