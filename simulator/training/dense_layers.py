"""Networks that are a plain row of dense layers, with many parameter vectors at once: batched products, and no vmap.

For small networks, vmap and calling a module with parameters that are not its own take as long as the products.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from simulator.core.flat_module import FlatModule

ELEMENTWISE = (nn.Identity, nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.Softplus)
PRODUCTS = (nn.Flatten, nn.Linear)

Views = Mapping[str, Tensor]  # [n, ...] of each parameter
Kept = tuple[Tensor, ...]  # of a forward pass, for the way back


class DenseLayers:
    """The layers, one after the other, as operations on stacked models; what vmap makes of them, bit by bit.

    Args:
        network: all of it.
        layers: with the name of each, in order; one may come several times.
    """

    def __init__(self, network: nn.Module, layers: Sequence[tuple[str, nn.Module]]) -> None:
        self._modules = list(network.modules())
        self._steps = [_step(name, layer) for name, layer in layers]
        # A product of one dimension a sample is another kernel than one of several.
        self._flattens = next((type(layer) is nn.Flatten for _, layer in layers if type(layer) in PRODUCTS), True)
        # Nobody asks for gradients before the first product.
        self._first = next(
            (place for place, (_, each) in enumerate(layers) if isinstance(each, nn.Linear)), len(layers)
        )

    @classmethod
    def of(cls, module: FlatModule) -> Self | None:
        """Those of a network; None where it is another one, draws random numbers, or computes in bfloat16."""
        layers, trained = list(_in_order(module.module, "")), module.named_views(module.initial)
        known = all(_is_known(layer) for _, layer in layers)
        named = (f"{name}{own}" for name, layer in layers for own, _ in layer.named_parameters())
        suits = known and module.precision != "bf16" and not module.is_random and all(name in trained for name in named)
        return cls(module.module, layers) if suits else None

    def take(self, inputs: Tensor) -> bool:
        """Whether they can be given ``inputs`` ([n, B, ...]), which must be flat where a product takes them.

        Not while somebody listens to a layer.
        """
        listened = any(layer._forward_hooks or layer._forward_pre_hooks for layer in self._modules)
        return not listened and (self._flattens or inputs.dim() == 3)

    def outputs(self, views: Views, inputs: Tensor) -> Tensor:
        """float [n, B, ...] of n models, by the named views of their parameters, each on samples of its own."""
        for step in self._steps:
            inputs = step(views, inputs)
        return inputs

    @torch.no_grad()
    def forward(self, views: Views, inputs: Tensor) -> tuple[Tensor, Callable[[Tensor, Views], None]]:
        """`outputs` without autograd, whose bookkeeping and fresh memory take longer than the products of small models.

        Returns:
            float [n, B, ...], and a function that is given their gradient and leaves that of the parameters in named
            views of memory for it.
        """
        kept = list[Kept]()
        for step in self._steps:
            inputs, own = step.forward(views, inputs)
            kept.append(own)

        @torch.no_grad()
        def backward(gradient: Tensor, into: Views) -> None:
            for step, own in zip(reversed(self._steps[self._first :]), reversed(kept), strict=False):
                if isinstance(step, _Product):
                    step.leave(own, gradient, into)
                if step is not self._steps[self._first]:
                    gradient = step.back(views, own, gradient)

        return inputs, backward


def _in_order(network: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    """The layers, those of sequences within sequences too, with what the names of their parameters begin with."""
    if type(network) is not nn.Sequential:
        yield name, network
        return
    for child, layer in network._modules.items():  # one that stands in several places, in each of them
        assert layer is not None  # a sequence calls each
        yield from _in_order(layer, f"{name}{child}.")


def _is_known(layer: nn.Module) -> bool:
    if isinstance(layer, nn.Flatten):
        return type(layer) is nn.Flatten and (layer.start_dim, layer.end_dim) == (1, -1)
    if isinstance(layer, nn.Linear):  # of one input, gradients in its weights are summed in another order than by vmap
        return type(layer) is nn.Linear and layer.in_features > 1
    return type(layer) in ELEMENTWISE


class _Step(ABC):
    """A layer of n models, each with parameters and samples of its own."""

    @abstractmethod
    def __call__(self, views: Views, inputs: Tensor) -> Tensor:
        """What it makes of ``inputs``, [n, B, ...]; autograd goes through it."""

    @abstractmethod
    def forward(self, views: Views, inputs: Tensor) -> tuple[Tensor, Kept]:
        """The same outside of autograd, and what is kept for the way back."""

    @abstractmethod
    def back(self, views: Views, kept: Kept, gradient: Tensor) -> Tensor:
        """From the gradient of what came out to that of what went in."""


class _Flatten(_Step):
    def __call__(self, views: Views, inputs: Tensor) -> Tensor:
        return inputs.flatten(2)

    def forward(self, views: Views, inputs: Tensor) -> tuple[Tensor, Kept]:
        return self(views, inputs), (inputs,)

    def back(self, views: Views, kept: Kept, gradient: Tensor) -> Tensor:
        return gradient.reshape(kept[0].shape)


class _Elementwise(_Step):
    def __init__(self, layer: nn.Module) -> None:
        self._layer = layer

    def __call__(self, views: Views, inputs: Tensor) -> Tensor:
        found: Tensor = self._layer(inputs)
        return found

    def forward(self, views: Views, inputs: Tensor) -> tuple[Tensor, Kept]:
        with torch.enable_grad():  # through this layer alone
            entered = inputs.detach().requires_grad_()
            found = self(views, entered.clone() if getattr(self._layer, "inplace", False) else entered)
        return found.detach(), (found, entered)

    def back(self, views: Views, kept: Kept, gradient: Tensor) -> Tensor:
        found, entered = kept
        with torch.enable_grad():  # a gradient that is handed over makes torch load its compiler, for half a second
            return torch.autograd.grad((found * gradient).sum(), entered)[0]


class _ReLU(_Step):
    """The commonest of them, and its derivative."""

    def __call__(self, views: Views, inputs: Tensor) -> Tensor:
        return torch.relu(inputs)

    def forward(self, views: Views, inputs: Tensor) -> tuple[Tensor, Kept]:
        found = torch.relu(inputs)
        return found, (found,)

    def back(self, views: Views, kept: Kept, gradient: Tensor) -> Tensor:
        passed: Tensor = torch.ops.aten.threshold_backward(gradient, kept[0], 0)  # what autograd calls
        return passed


class _Product(_Step):
    """As (W x^T)^T, which gives gradients in the layout of W."""

    def __init__(self, weight: str, bias: str | None) -> None:
        self._weight, self._bias = weight, bias

    def __call__(self, views: Views, inputs: Tensor) -> Tensor:
        found = torch.bmm(views[self._weight], inputs.mT).mT
        return found if self._bias is None else found + views[self._bias][:, None]

    def forward(self, views: Views, inputs: Tensor) -> tuple[Tensor, Kept]:
        return self(views, inputs), (inputs,)

    def back(self, views: Views, kept: Kept, gradient: Tensor) -> Tensor:
        return torch.bmm(views[self._weight].mT, gradient.mT).mT

    def leave(self, kept: Kept, gradient: Tensor, into: Views) -> None:
        """Write the gradients of its parameters."""
        (inputs,) = kept
        if inputs.shape[1] == 1:  # an outer product, which writes as fast as memory takes it
            torch.mul(gradient.mT, inputs, out=into[self._weight])
        else:
            torch.bmm(gradient.mT, inputs, out=into[self._weight])
        if self._bias is not None:
            torch.sum(gradient, dim=1, out=into[self._bias])


def _step(name: str, layer: nn.Module) -> _Step:
    if isinstance(layer, nn.Flatten):
        return _Flatten()
    if isinstance(layer, nn.ReLU):
        return _ReLU()
    if not isinstance(layer, nn.Linear):
        return _Elementwise(layer)
    return _Product(f"{name}weight", None if layer.bias is None else f"{name}bias")
