"""What samples put into each layer of a network, summed up without keeping more than a d x d matrix a layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, unfold

from simulator.core.flat_module import FlatModule
from simulator.core.preparation import Preparation
from simulator.core.samples import Samples

Layer = nn.Linear | nn.Conv2d


class Inputs(NamedTuple):
    """What a layer was given: the rows themselves while they are at most d, and then the sum of r r^T over them.

    Attributes:
        matrix: float64 [R, d], or [d, d] of a Gram matrix.
        is_gram: which of the two it is.
    """

    matrix: Tensor
    is_gram: bool = False

    def plus(self, more: Tensor) -> Inputs:
        """With the rows ``more`` (float64 [R, d])."""
        if self.is_gram:
            return Inputs(self.matrix + more.T @ more, is_gram=True)
        every = torch.cat([self.matrix, more])
        return Inputs(every.T @ every, is_gram=True) if len(every) > every.shape[1] else Inputs(every)


def layers(network: nn.Module) -> Iterator[tuple[str, Layer]]:
    """Every linear and two-dimensional convolutional layer, by the name of its weight."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            yield f"{name}.weight".lstrip("."), module


def layer_inputs(model: FlatModule, samples: Samples, preparation: Preparation) -> dict[str, Inputs]:
    """What ``samples`` put into each layer, by the name of its weight.

    One pass in evaluation mode, without augmentation, through the model as it is bound. A layer that the network never
    calls is left out.
    """
    found: dict[str, Inputs] = {}
    handles = [layer.register_forward_pre_hook(_adding(found, name)) for name, layer in layers(model.module)]
    try:
        model.outputs(samples, preparation)
    finally:
        for handle in handles:
            handle.remove()
    return found


def rows(layer: Layer, inputs: Tensor) -> Tensor:
    """float [R, d]: the vectors that the rows of the layer's weight, flattened to [outputs, d], are multiplied with.

    For a linear layer these are its inputs; for a convolution the patches it sees, d = channels * height * width of the
    kernel.
    """
    if isinstance(layer, nn.Linear):
        return inputs.flatten(0, -2)
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    padded = pad(inputs, layer._reversed_padding_repeated_twice, mode)  # as the layer itself does it: "same", circular
    patches = unfold(padded, layer.kernel_size, layer.dilation, stride=layer.stride)
    return patches.transpose(1, 2).flatten(0, 1)


def _adding(found: dict[str, Inputs], name: str) -> Callable[[Layer, tuple[Tensor, ...]], None]:
    @torch.no_grad()
    def add(layer: Layer, inputs: tuple[Tensor, ...]) -> None:
        seen = rows(layer, inputs[0]).double()
        found[name] = found.get(name, Inputs(seen[:0])).plus(seen)

    return add
