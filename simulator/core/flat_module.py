"""A module whose parameters are views of one flat vector and whose gradients are views of another.

Mixing, momentum, clipping and byte counts then work on single vectors, and one module serves every node of a worker:
binding another node's vector swaps the views, not the values.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import Tensor, nn

from simulator.core.errors import wrong
from simulator.core.samples import Normalizer, Samples

Precision = Literal["fp32", "bf16", "fp64"]
EVALUATION_BATCH = 64  # larger batches fall out of the cache


class FlatModule:
    """One module for all the nodes of a worker; never shared between threads.

    Four-dimensional weights lie in the flat vector in channels-last order, the fastest for convolutions on a CPU.

    Attributes:
        module: the network; its parameters are views of whatever vector was bound last.
        gradient: float [parameters]; backward passes add to it.
        dtype: of parameters and activations (bf16 keeps float32 parameters and autocasts the forward pass).
        device: where parameters, gradients and activations are.
    """

    def __init__(self, module: nn.Module, precision: Precision = "fp32", device: str = "cpu") -> None:
        self.dtype = torch.float64 if precision == "fp64" else torch.float32
        self.precision, self.device = precision, torch.device(device)
        self.module = module.to(self.device, self.dtype)
        self._names = [name for name, _ in module.named_parameters()]
        self._parameters = list(module.parameters())
        self._shapes = [parameter.shape for parameter in self._parameters]
        self.initial = torch.cat([_flatten(parameter.detach()) for parameter in self._parameters])
        self.gradient = torch.zeros_like(self.initial)
        self._gradients = self.views(self.gradient)
        for parameter, view in zip(self._parameters, self._gradients, strict=True):
            parameter.grad = view
        self._bound: Tensor | None = None
        self.bind(self.initial)

    @property
    def num_parameters(self) -> int:
        """Length of the flat vector."""
        return len(self.initial)

    def bind(self, parameters: Tensor) -> None:
        """Make the module's parameters views of ``parameters`` (float [parameters], contiguous)."""
        if parameters is self._bound:
            return
        self._bound = parameters
        for parameter, view in zip(self._parameters, self.views(parameters), strict=True):
            parameter.data = view

    def differentiate(self, loss: Tensor) -> None:
        """Replace `gradient` by that of ``loss`` at the vector bound last."""
        fill(self._gradients, torch.autograd.grad(loss, self._parameters, allow_unused=True))

    def views(self, flat: Tensor) -> list[Tensor]:
        """``flat`` cut into tensors of the parameters' shapes, in the module's order; no copy.

        Args:
            flat: float [..., parameters]; dimensions in front, such as one of nodes, stay in front.
        """
        pieces = torch.split(flat, [shape.numel() for shape in self._shapes], dim=-1)
        return [_unflatten(piece, shape) for piece, shape in zip(pieces, self._shapes, strict=True)]

    def named_views(self, flat: Tensor) -> dict[str, Tensor]:
        """Like `views`, under the module's parameter names."""
        return dict(zip(self._names, self.views(flat), strict=True))

    def autocast(self) -> AbstractContextManager[object]:
        """The context that forward passes run in."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.precision == "bf16" else nullcontext()

    @torch.no_grad()
    def logits(self, samples: Samples, normalizer: Normalizer) -> Tensor:
        """float [N, classes] of the bound model in evaluation mode, samples in their own order, never augmented."""
        self.module.eval()
        with self.autocast():
            chunks = torch.split(torch.arange(len(samples)), EVALUATION_BATCH)
            rows = [self.module(normalizer(samples.images_at(chunk), self.dtype)).to(self.dtype) for chunk in chunks]
        self.module.train()
        return torch.cat(rows)


def fill(views: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> None:
    """Copy ``gradients`` into ``views``: faster than zeros to add to. None, of what had no part in the loss, is 0."""
    for view, gradient in zip(views, gradients, strict=True):
        view.copy_(gradient) if gradient is not None else view.zero_()


def check_trainable_by_gossip(module: nn.Module) -> None:
    """Refuse networks that hold state outside their parameters.

    Raises:
        InputError: the network has batch normalisation with running statistics, or other buffers.
    """
    stateful = [name for name, _ in module.named_buffers()]
    if stateful:
        shown = ", ".join(stateful[:3]) + (" ..." if len(stateful) > 3 else "")
        raise wrong(
            "model",
            f"the network keeps state outside its parameters: {shown}.",
            "Gossip mixes parameters only. Use group or evonorm normalisation, or batch statistics without averages.",
        )


def _flatten(parameter: Tensor) -> Tensor:
    return (parameter.permute(0, 2, 3, 1) if parameter.dim() == 4 else parameter).reshape(-1)


def _unflatten(piece: Tensor, shape: torch.Size) -> Tensor:
    if len(shape) != 4:
        return piece.view(*piece.shape[:-1], *shape)
    out_channels, in_channels, height, width = shape
    return piece.view(*piece.shape[:-1], out_channels, height, width, in_channels).movedim(-1, -3)
