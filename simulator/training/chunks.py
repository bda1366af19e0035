"""How many nodes are trained as one program."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from simulator.core.node import Node
from simulator.core.samples import NodeData
from simulator.training.by_sample import BySample
from simulator.training.feed import batch_length
from simulator.training.hooks import combining
from simulator.training.stacked_module import StackedModule

CACHED_BYTES = 16 * 2**20  # of a chunk on a CPU: more falls out of its cache
FEWEST = 8  # nodes a chunk on a CPU: with fewer, the price of vectorising is not earned back
SHARE_OF_GPU = 0.4  # of its memory, for a chunk


def nodes_a_chunk(stacked: StackedModule, by_sample: BySample, node: Node) -> int:
    """How many nodes like ``node`` fit into a CPU's cache or a GPU's memory; the same whenever asked on a machine."""
    rows = combining(node) is not None and by_sample.writes_out(node)
    vector = node.parameters.nbytes * (batch_length(node) if rows else 1)
    activations = batch_length(node) * bytes_kept(stacked, form(node.data, node.parameters.dtype))
    if node.parameters.device.type == "cpu":
        return max(1 if rows else FEWEST, CACHED_BYTES // (2 * vector + activations))
    memory = torch.cuda.get_device_properties(node.parameters.device).total_memory
    # A vector each for parameters, momentum, the gradient and its parts; gradients of activations come and go.
    return max(1, int(SHARE_OF_GPU * memory) // (4 * vector + 2 * activations))


Form = tuple[tuple[str, torch.Size, torch.dtype], ...]


def form(data: NodeData, dtype: torch.dtype) -> Form:
    """What the network is given of one sample: name, shape and type of each array; one alone has no name."""
    inputs = data.preparation(data.train.inputs_at(torch.zeros(1, dtype=torch.int64)), dtype)
    named = {"": inputs} if isinstance(inputs, Tensor) else inputs
    return tuple((name, array.shape, array.dtype) for name, array in named.items())


@lru_cache(maxsize=8)
def bytes_kept(stacked: StackedModule, sample: Form) -> int:
    """What a forward pass keeps for the backward pass, for one sample."""
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    matrix = stacked.module.initial[None].clone().requires_grad_()
    stacked.module.fix(True)  # batch normalisation refuses to take moments of one sample
    buffers = stacked.module.initial_buffers
    state = {name: view[None] for name, view in buffers.views().items()} if buffers else None
    named = {name: torch.zeros(1, *shape, dtype=dtype, device=matrix.device) for name, shape, dtype in sample}
    with saved_tensors_hooks(note, lambda tensor: tensor):
        outputs = stacked.outputs(matrix, named.get("", named), buffers=state)
    stacked.module.fix(False)
    kept.pop(matrix.untyped_storage().data_ptr(), None)
    return sum(kept.values()) + outputs.nbytes
