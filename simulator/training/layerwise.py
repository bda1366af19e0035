"""Gradients sample by sample that are never written out, for a method that weighs them (`Method.weigh_gradients`).

One pass forward and one back give what went into each layer and the gradient of what came out. These are factors of the
samples' gradients (`simulator.training.tensor_gradients`): norms follow from them, and sums by any weights. With DP-SGD
this is ghost clipping (Li et al. 2021, arXiv:2110.05679) without its second pass back (Bu et al. 2023,
arXiv:2210.00038).

Samples of several nodes go through the network together; at each layer, those of a node meet parameters of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.linalg import vector_norm

from simulator.core.arrays import Arrays, called
from simulator.core.flat_module import FlatModule
from simulator.core.sample_gradients import SampleGradients
from simulator.training.layer_gradients import RULES, Found, of_any
from simulator.training.tensor_gradients import TensorGradients, Written

Owned = Mapping[str, Tensor]  # a layer's parameters, by its own names for them


class NotLayerwiseError(Exception):
    """The network is not made of layers whose inputs and outputs tell its gradients; the text says why."""


class Layerwise:
    """A network, looked at layer by layer.

    Args:
        module: whose forward pass; its own parameters are left alone.
        aside: names of layers that are given the same for all samples, such as an embedding of places: each sample is
            then given that of its own.

    Raises:
        NotLayerwiseError: layers share a parameter.
    """

    def __init__(self, module: FlatModule, aside: Collection[str] = ()) -> None:
        self.module = module
        self._own = {name: each for name, each in module.module.named_parameters() if each.requires_grad}
        names = {id(each): name for name, each in self._own.items()}
        self._layers, taken = list[_Layer](), set[str]()
        for prefix, layer in module.module.named_modules():
            owned = {name: names[id(each)] for name, each in layer._parameters.items() if id(each) in names}
            if owned and not list(layer.children()):
                if shared := taken.intersection(owned.values()):
                    raise NotLayerwiseError(f"layers share the parameter {min(shared)}")
                taken.update(owned.values())
                self._layers.append(_Layer(prefix, layer, owned, prefix in aside))

    def gradients(
        self,
        parameters: Sequence[Tensor],
        lengths: Sequence[int],
        inputs: Arrays,
        loss: Callable[[Tensor], Tensor],
    ) -> list[SampleGradients]:
        """Those of each node's samples.

        Args:
            parameters: float [parameters] of each node.
            lengths: how many samples each has; at least one has any.
            inputs: [S, ...] as the network takes them, one node's after the other's.
            loss: makes of the outputs, [S, ...], the sum of the samples' losses.

        Raises:
            NotLayerwiseError: a parameter has a part in the loss that no layer tells of: one is applied twice, or
                ``loss`` or the network refer to the parameters of the module itself.
        """
        models, passes = _Models([self._leaves(own) for own in parameters], list(lengths)), list[_Pass]()
        with ExitStack() as stack:
            for layer in self._layers:
                stack.enter_context(layer.watched(models, passes))
            with self.module.autocast():
                outputs = called(self.module.module, inputs)
        wanted: list[Any] = [*(each.edge for each in passes), *self._own.values()]
        found = torch.autograd.grad(loss(outputs), wanted, allow_unused=True)
        for name, gradient in zip(self._own, found[len(passes) :], strict=True):
            if gradient is not None:
                raise NotLayerwiseError(f"the parameter {name} is used elsewhere than in a layer that has it alone")
        with torch.no_grad():
            tensors = dict[str, TensorGradients]()
            for each, gradient in zip(passes, found, strict=False):
                if gradient is not None:  # else the loss does not depend on it
                    tensors |= each.gradients(models, gradient.to(self.module.dtype))
            return self._by_node(tensors, lengths)

    def _leaves(self, parameters: Tensor) -> dict[str, Tensor]:
        return {name: view.detach().requires_grad_() for name, view in self.module.named_views(parameters).items()}

    def _by_node(self, tensors: Found, lengths: Sequence[int]) -> list[SampleGradients]:
        ordered = [tensors.get(name) for name in self._own]
        none = self.module.initial.new_zeros(sum(lengths))
        norms = torch.stack([each.norms() if each else none for each in ordered], dim=1)
        ends = pairwise(accumulate(lengths, initial=0))
        return [_Weighable(self.module, ordered, norms[begin:end], slice(begin, end)) for begin, end in ends]


class _Weighable(SampleGradients):
    """Of one node's samples, which are those ``at`` a place among all: with the norms of their parts, float [B, K]."""

    def __init__(self, module: FlatModule, tensors: Sequence[TensorGradients | None], norms: Tensor, at: slice) -> None:
        self._module, self._tensors, self._norms, self._at = module, tensors, norms, at

    def __len__(self) -> int:
        return len(self._norms)

    def norms(self) -> Tensor:
        """Each is the norm of a sample's norms by tensor."""
        found: Tensor = vector_norm(self._norms, dim=1)
        return found

    def norms_by_tensor(self) -> Tensor:
        """They are known from the start."""
        return self._norms

    def sum(self, weights: Tensor) -> Tensor:
        """Each tensor writes its own part."""
        total = self._module.initial.new_empty(self._module.num_parameters)
        columns = weights.unbind(dim=1) if weights.dim() == 2 else [weights] * len(self._tensors)
        for tensor, own, view in zip(self._tensors, columns, self._module.views(total), strict=True):
            if tensor:
                tensor.sum(self._at, own, out=view)
            else:
                view.zero_()
        return total


@dataclass(frozen=True)
class _Models:
    """What the network is run with: parameters by name of each node, and on how many samples."""

    views: Sequence[Mapping[str, Tensor]]
    lengths: list[int]

    def with_samples(self, *arrays: Tensor) -> Iterator[tuple[Any, ...]]:
        """Of each node that has any, its parameters and its part of each of ``arrays``, [S, ...]."""
        parts = zip(*(torch.split(array, self.lengths) for array in arrays), strict=True)
        return ((own, *its) for own, its in zip(self.views, parts, strict=True) if len(its[0]))


@dataclass(frozen=True)
class _Layer:
    """A layer without layers inside.

    Attributes:
        name: in the network.
        layer: it.
        owned: the network's names for its trained parameters, by its own.
        is_aside: whether it is given the same for all samples.
    """

    name: str
    layer: nn.Module
    owned: Mapping[str, str]
    is_aside: bool

    @contextmanager
    def watched(self, models: _Models, passes: list[_Pass]) -> Iterator[None]:
        """Run it with each node's parameters on that one's samples, within the block, and note each pass."""

        def forward(x: Tensor) -> Tensor:
            if self.is_aside:
                one = x if x.dim() > 1 and len(x) == 1 else x[None]
                x = one.expand(sum(models.lengths), *one.shape[1:])
            parts = [self.run(self.of(own), part) for own, part in models.with_samples(x)]
            output = parts[0] if len(parts) == 1 else torch.cat(parts)
            if any(earlier.layer is self for earlier in passes):
                raise NotLayerwiseError(f"{self.name} is applied more than once")
            passes.append(_Pass(self, x.detach(), get_gradient_edge(output)))
            return output

        self.layer.forward = forward
        try:
            yield
        finally:
            del self.layer.forward

    def of(self, views: Mapping[str, Tensor]) -> Owned:
        """Its own among the network's parameters."""
        return {own: views[name] for own, name in self.owned.items()}

    def run(self, parameters: Owned, x: Tensor) -> Tensor:
        """What it makes of ``x`` with these parameters."""
        kept = self.layer._parameters
        self.layer._parameters = {**kept, **parameters}  # type: ignore[dict-item]
        try:
            found: Tensor = type(self.layer).forward(self.layer, x)
        finally:
            self.layer._parameters = kept
        return found


@dataclass(frozen=True)
class _Pass:
    """One pass through a layer: of what, and where its output is in the graph."""

    layer: _Layer
    inputs: Tensor
    edge: GradientEdge

    def gradients(self, models: _Models, gradient: Tensor) -> dict[str, TensorGradients]:
        """By the network's names of its parameters; ``gradient`` is that of the output."""
        layer, x = self.layer, self.inputs.to(gradient.dtype) if self.inputs.is_floating_point() else self.inputs
        if rule := RULES.get(type(layer.layer)):
            found: Found = rule(layer.layer, x, gradient)
        else:
            parts = [of_any(layer.run, layer.of(own), *its) for own, *its in models.with_samples(x, gradient)]
            found = {name: Written(torch.cat([part[name] for part in parts])) for name in layer.owned}
        return {name: found[own] for own, name in layer.owned.items()}
