"""Networks that are a plain row of dense layers, with many parameter vectors at once: batched products, and no vmap.

For small networks, vmap and calling a module with parameters that are not its own take as long as the products.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from simulator.core.flat_module import FlatModule

ELEMENTWISE = (nn.Identity, nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh, nn.Softplus)
PRODUCTS = (nn.Flatten, nn.Linear)


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

    def outputs(self, views: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        """float [n, B, ...] of n models, by the named views of their parameters, each on samples of its own."""
        for step in self._steps:
            inputs = step(views, inputs)
        return inputs


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


def _step(name: str, layer: nn.Module) -> Callable[[Mapping[str, Tensor], Tensor], Tensor]:
    if isinstance(layer, nn.Flatten):
        return lambda _, inputs: inputs.flatten(2)
    if not isinstance(layer, nn.Linear):
        return lambda _, inputs: layer(inputs)

    def product(views: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        # As (W x^T)^T, which gives gradients in the layout of W.
        found = torch.bmm(views[f"{name}weight"], inputs.mT).mT
        return found if layer.bias is None else found + views[f"{name}bias"][:, None]

    return product
