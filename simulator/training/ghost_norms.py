"""Norms of each sample's gradient in the parameters, without these gradients: "ghost norms".

A linear layer's gradient for one sample is the outer product of what went in, a, and the gradient g of what came out,
so its squared norm is |a|^2 |g|^2 (Goodfellow 2015, arXiv:1510.01799). Where a layer is used at several places of a
sample, as a convolution is, it is sum_ij (a_i . a_j)(g_i . g_j) over its places, or that of the summed outer products,
whichever is less work (Bu, Mao and Xu 2022, arXiv:2205.10683, section 4).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import unfold


@dataclass
class _Use:
    """One pass through a layer: what went in, float [B, ...], and zeros that were added to what came out."""

    layer: nn.Linear | nn.Conv2d
    given: Tensor
    tap: Tensor


def squared_gradient_norms(network: nn.Module, losses: Callable[[], Tensor]) -> Tensor | None:
    """float [B], the squared norm of each sample's gradient in the parameters that are trained.

    Args:
        network: whose parameters; its samples must not depend on each other.
        losses: makes one pass through it, and gives the loss of each of the B samples.

    Returns:
        None where that cannot be told from layers: a parameter is of another layer than `torch.nn.Linear` and
        `torch.nn.Conv2d`, is used more than once, or is used outside its layer.
    """
    layers = [layer for layer in network.modules() if any(True for _ in _trained(layer))]
    if not all(_is_known(layer) for layer in layers):
        return None
    uses = list[_Use]()
    with ExitStack() as hooks:
        for layer in layers:
            hooks.callback(layer.register_forward_hook(_tapping(uses)).remove)
        found = losses()
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    once = _times_used(found) == Counter({id(parameter): 1 for parameter in trained})
    alike = all(len(use.given) == len(found) and use.given.dim() >= 2 for use in uses)
    if not once or not alike or len(uses) != len(layers):
        return None
    gradients = torch.autograd.grad(found.sum(), [use.tap for use in uses])
    return torch.stack([_squared_norm(use, gradient) for use, gradient in zip(uses, gradients, strict=True)]).sum(0)


def _trained(layer: nn.Module) -> Iterator[nn.Parameter]:
    return (parameter for parameter in layer.parameters(recurse=False) if parameter.requires_grad)


def _is_known(layer: nn.Module) -> bool:
    """Whether the layer is one of those that the formulas are about, and no descendant of them that does more."""
    if type(layer) is nn.Conv2d:
        return layer.groups == 1 and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    return type(layer) is nn.Linear


def _tapping(uses: list[_Use]) -> Callable[[Any, tuple[Tensor, ...], Tensor], Tensor]:
    """Adds zeros to what a layer puts out, whose gradient is that of the output even if that is changed in place."""

    def tap(layer: nn.Linear | nn.Conv2d, given: tuple[Tensor, ...], output: Tensor) -> Tensor:
        uses.append(_Use(layer, given[0].detach(), torch.zeros_like(output, requires_grad=True)))
        return output + uses[-1].tap

    return tap


def _times_used(losses: Tensor) -> Counter[int]:
    """How often each leaf that ``losses`` depend on is used, by id; without the taps."""
    used, seen, ahead = Counter[int](), set[Any](), [losses.grad_fn]
    while ahead:
        for function, _ in getattr(ahead.pop(), "next_functions", ()):
            if isinstance(leaf := getattr(function, "variable", None), nn.Parameter):
                used[id(leaf)] += 1
            elif function is not None and function not in seen:
                seen.add(function)
                ahead.append(function)
    return used


def _squared_norm(use: _Use, gradient: Tensor) -> Tensor:
    """float [B], of the gradients in a layer's parameters."""
    layer, parts = use.layer, list[Tensor]()
    if isinstance(layer, nn.Conv2d):
        given = unfold(use.given, layer.kernel_size, layer.dilation, layer.padding, layer.stride).mT  # type: ignore[arg-type]
        there = gradient.flatten(2).mT
    else:
        given, there = (each.flatten(1, -2) if each.dim() > 2 else each[:, None] for each in (use.given, gradient))
    if layer.weight.requires_grad:
        parts.append(_of_products(given, there))
    if layer.bias is not None and layer.bias.requires_grad:
        parts.append(there.sum(1).square().sum(1))
    return torch.stack(parts).sum(0)


def _of_products(a: Tensor, g: Tensor) -> Tensor:
    """|sum_i a_i g_i'|^2 of each sample, float [B], of float [B, places, inputs] and float [B, places, outputs]."""
    places, inputs, outputs = a.shape[1], a.shape[2], g.shape[2]
    if places == 1:
        return a.square().sum((1, 2)) * g.square().sum((1, 2))
    if places * (inputs + outputs) < inputs * outputs:
        return ((a @ a.mT) * (g @ g.mT)).sum((1, 2))
    return (a.mT @ g).square().sum((1, 2))
