"""Gradients of a layer's parameters, sample by sample, of what went into it and the gradient of what came out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import vjp, vmap
from torch.nn.functional import group_norm, layer_norm, pad

from simulator.training.tensor_gradients import (
    Arranged,
    ManyRows,
    OneProduct,
    TensorGradients,
    Written,
    is_better_written,
    product,
    written,
)

CACHED = 2**18  # numbers, 1 MiB of float32

Found = Mapping[str, TensorGradients]


def of_linear(layer: nn.Linear, x: Tensor, gradient: Tensor) -> Found:
    """Of float [S, ..., in] and [S, ..., out]."""
    if x.dim() == 2:
        return {"weight": OneProduct(x, gradient), "bias": Written(gradient)}
    x, gradient = x.flatten(1, -2), gradient.flatten(1, -2)
    return {"weight": product(x, gradient), "bias": Written(gradient.sum(dim=1))}


def of_embedding(layer: nn.Embedding, ids: Tensor, gradient: Tensor) -> Found:
    """Of int64 [S, ...] and float [S, ..., width]; what stands at ``padding_idx`` has none."""
    ids, gradient = ids.flatten(1), gradient.reshape(len(ids), -1, layer.embedding_dim)
    if layer.padding_idx is not None:
        gradient = gradient * (ids != layer.padding_idx)[:, :, None]
    return {"weight": ManyRows(ids, gradient)}


def of_convolution(layer: nn.Conv1d | nn.Conv2d, x: Tensor, gradient: Tensor) -> Found:
    """Of float [S, in, ...] and [S, out, ...]: products of the weights with a window of x at each place of the output.

    Windows have channels last, as four-dimensional weights do. They are many times as large as x, so where they need
    not be kept there are no more of them at a time than a cache holds.
    """
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    x, gradient = pad(x, layer._reversed_padding_repeated_twice, mode).movedim(1, -1), gradient.movedim(1, -1)
    places, groups = gradient.shape[1:-1], layer.groups
    outputs = gradient.reshape(len(x), -1, groups, layer.out_channels // groups).movedim(2, 1)
    width, height = prod(layer.kernel_size) * layer.in_channels // groups, layer.out_channels // groups
    if groups > 1 or is_better_written(prod(places), width, height):
        some = max(1, CACHED // (groups * prod(places) * width))
        pieces = zip(torch.split(x, some), torch.split(outputs, some), strict=True)
        rows = [written(_windows(layer, each, places), own) for each, own in pieces]
        weight: TensorGradients = Written(torch.cat(rows))
    else:
        weight = product(_windows(layer, x, places)[:, 0], outputs[:, 0])

    def arrange(found: Tensor) -> Tensor:
        return found.view(layer.out_channels, *layer.kernel_size, -1).movedim(-1, 1)

    bias = Written(gradient.flatten(1, -2).sum(dim=1))
    return {"weight": Arranged(weight, (layer.out_channels, width), arrange), "bias": bias}


def _windows(layer: nn.Conv1d | nn.Conv2d, x: Tensor, places: Sequence[int]) -> Tensor:
    """float [S, groups, places, numbers of a window] of padded x, float [S, ..., in].

    They are laid out place by place, or all places for each number, so that more numbers are copied at once.
    """
    groups, each = layer.groups, layer.in_channels // layer.groups
    first, *along, last = x.stride()
    steps = [by * step for by, step in zip(layer.stride, along, strict=True)]
    inner = [by * step for by, step in zip(layer.dilation, along, strict=True)]
    window = (*layer.kernel_size, each)
    if each * layer.kernel_size[-1] < places[-1]:
        by_number = x.as_strided((len(x), groups, *window, *places), (first, each * last, *inner, last, *steps))
        return by_number.reshape(len(x), groups, prod(window), -1).mT
    by_place = x.as_strided((len(x), groups, *places, *window), (first, each * last, *steps, *inner, last))
    return by_place.reshape(len(x), groups, -1, prod(window))


def of_group_norm(layer: nn.GroupNorm, x: Tensor, gradient: Tensor) -> Found:
    """Of float [S, channels, ...] both."""
    normed = group_norm(x, layer.num_groups, eps=layer.eps)
    weight, bias = (array.reshape(*array.shape[:2], -1).sum(dim=2) for array in (gradient * normed, gradient))
    return {"weight": Written(weight), "bias": Written(bias)}


def of_layer_norm(layer: nn.LayerNorm, x: Tensor, gradient: Tensor) -> Found:
    """Of float [S, ..., *normalized_shape] both."""
    shape = layer.normalized_shape
    normed = layer_norm(x, shape, eps=layer.eps)
    weight, bias = (array.reshape(len(x), -1, *shape).sum(dim=1) for array in (gradient * normed, gradient))
    return {"weight": Written(weight), "bias": Written(bias)}


Run = Callable[[Mapping[str, Tensor], Tensor], Tensor]


def of_any(run: Run, parameters: Mapping[str, Tensor], x: Tensor, gradient: Tensor) -> Mapping[str, Tensor]:
    """Of whatever layer, written out, by name [S, ...]: for those with few parameters.

    Args:
        run: the layer, of parameters by name and float [1, ...].
        parameters: its own.
        x: [S, ...], what went in.
        gradient: float [S, ...], of what came out.
    """

    def of_one(x: Tensor, gradient: Tensor) -> Mapping[str, Tensor]:
        pull: Callable[[Tensor], tuple[Mapping[str, Tensor]]] = vjp(lambda own: run(own, x[None])[0], parameters)[1]
        return pull(gradient)[0]

    found: Mapping[str, Tensor] = vmap(of_one)(x, gradient)
    return found


RULES: Mapping[type[nn.Module], Callable[[Any, Tensor, Tensor], Found]] = {
    nn.Linear: of_linear,
    nn.Embedding: of_embedding,
    nn.Conv1d: of_convolution,
    nn.Conv2d: of_convolution,
    nn.GroupNorm: of_group_norm,
    nn.LayerNorm: of_layer_norm,
}
