"""One network with many parameter vectors at once: whatever goes in or out has a dimension of models in front."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, vmap
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode

from simulator.core.arrays import Arrays, mapped
from simulator.core.errors import RunError
from simulator.core.flat_module import FlatModule, fill
from simulator.training.dense_layers import DenseLayers


class StackedModule:
    """The module's own forward pass, vectorised over models; ordinary autograd goes through it.

    By vmap, or for networks that are a row of dense layers by what vmap would call, without its price.

    With one row of parameters a sample, each with a batch of one, the gradient of the summed losses holds the
    per-sample gradients, row by row: see `simulator.training.written_out`.

    Args:
        module: whose forward pass; its own parameters are left alone.
    """

    def __init__(self, module: FlatModule) -> None:
        self.module = module
        self._dense = DenseLayers.of(module)

    @property
    def is_dense(self) -> bool:
        """Whether the network is a row of dense layers, whose gradients are fastest in memory of each layer's own."""
        return self._dense is not None

    def outputs(
        self,
        parameters: Tensor | Mapping[str, Tensor],
        inputs: Arrays,
        *,
        shared: bool = False,
        buffers: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Outputs of every model on samples of its own, or on the same ones.

        Args:
            parameters: float [n, parameters], or the named views of such a matrix (`FlatModule.named_views`).
            inputs: [n, B, ...] as the network takes them; [B, ...] where ``shared``.
            shared: whether all models look at the same samples.
            buffers: the models' own, by name, with n in front; layers in training write to them. None where the
                network keeps no state.

        Returns:
            float [n, B, ...].

        Raises:
            RuntimeError: the network does something that cannot be vectorised.
        """
        views = dict(self.module.named_views(parameters) if isinstance(parameters, Tensor) else parameters)
        views |= buffers or {}
        alone = len(next(iter(views.values()))) == 1
        if isinstance(inputs, Tensor) and not (alone or shared) and (dense := self._dense_of(inputs)):
            return dense.outputs(views, inputs)
        with self.module.autocast():
            if alone:  # vmap over one model trips over its channels-last activations
                one = {name: view[0] for name, view in views.items()}
                return self._one(one, inputs if shared else mapped(inputs, lambda array: array[0]))[None]
            with _WeightsFirst():
                found: Tensor = vmap(self._one, in_dims=(0, None if shared else 0))(views, inputs)
        return found

    def backward(
        self,
        parameters: Tensor,
        inputs: Arrays,
        loss: Callable[[Tensor], Tensor],
        into: Mapping[str, Tensor],
        buffers: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Leave the gradients of a loss where they are wanted.

        Args:
            parameters: float [n, parameters].
            inputs: [n, B, ...] as the network takes them.
            loss: makes a scalar of the outputs, [n, B, ...].
            into: memory for them, float [n, ...] of each parameter by its name.
            buffers: as in `outputs`.

        Raises:
            RunError: the loss depends on the module's own parameters.
            RuntimeError: the network does something that cannot be vectorised.
        """
        views = self.module.named_views(parameters)
        if len(parameters) > 1 and isinstance(inputs, Tensor) and (dense := self._dense_of(inputs)):
            found, back = dense.forward(views, inputs)
            (gradient,) = self.differentiate(loss(found.requires_grad_()), {"outputs": found})
            back(torch.zeros_like(found) if gradient is None else gradient, into)
            return
        leaves = {name: view.detach().requires_grad_() for name, view in views.items()}
        outputs = self.outputs(leaves, inputs, buffers=buffers)
        fill(list(into.values()), self.differentiate(loss(outputs), leaves))

    def differentiate(self, loss: Tensor, views: Mapping[str, Tensor]) -> Sequence[Tensor | None]:
        """Gradients of ``loss`` in the named views of parameters that went in; None where one had no part in it.

        Raises:
            RunError: the loss depends on the module's own parameters.
        """
        leaves = list(views.values())
        own = [parameter for parameter in self.module.module.parameters() if parameter.requires_grad]
        found = torch.autograd.grad(loss, [*leaves, *own], allow_unused=True)
        if any(gradient is not None for gradient in found[len(leaves) :]):
            raise through_the_model()
        return found[: len(leaves)]

    def _dense_of(self, inputs: Tensor) -> DenseLayers | None:
        return self._dense if self._dense and self._dense.take(inputs) else None

    def _one(self, parameters: dict[str, Tensor], inputs: Arrays) -> Tensor:
        args, named = ((inputs,), {}) if isinstance(inputs, Tensor) else ((), dict(inputs))
        outputs: Tensor = functional_call(self.module.module, parameters, args, named)
        return outputs


def through_the_model() -> RunError:
    """What to say where a loss depends on the module's own parameters."""
    return RunError(
        "a method's per_sample_loss differentiates through node.model, which cannot be stacked.\n"
        "    Set training.trainer: sequential, and take stackable=True out of that method's traits."
    )


class _WeightsFirst(TorchFunctionMode):
    """x W^T as (W x^T)^T, so that batched products give gradients in the layout of W instead of transposed ones.

    That halves the time of the step of an mlp of 100,000 parameters' gradient.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        if func is linear and len(args) == 3 and args[0].dim() == 2:
            x, weight, bias = args
            product = (weight @ x.mT).mT
            return product if bias is None else product + bias
        return func(*args, **(kwargs or {}))
