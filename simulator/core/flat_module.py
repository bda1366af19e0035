"""A module whose parameters are views of one flat vector and whose gradients are views of another.

Mixing, momentum, clipping and byte counts then work on single vectors, and one module serves every node of a worker:
binding another node's vector swaps the views, not the values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from simulator.core.arrays import called
from simulator.core.buffers.discovery import frozen_layers
from simulator.core.buffers.layout import Buffers, Layout
from simulator.core.buffers.settings import BufferSettings
from simulator.core.buffers.state import State, digest_of_constants
from simulator.core.canary_marks import PARAMETER
from simulator.core.draws import DrawnFrom
from simulator.core.errors import RunError, wrong
from simulator.core.preparation import Preparation
from simulator.core.samples import Samples

Precision = Literal["fp32", "bf16", "fp64"]
EVALUATION_BATCH = 64  # larger batches fall out of the cache


class FlatModule:
    """One module for all the nodes of a worker; never shared between threads.

    The vector holds the parameters that are trained. Frozen ones (``requires_grad`` is False) are the module's own and
    never move. Layers that hold no others, and those that were in evaluation mode before, are in evaluation mode while
    the rest is trained. Four-dimensional weights lie in the flat vector in channels-last order, the fastest for
    convolutions on a CPU.

    Args:
        module: the network; its buffers are constants but for those in ``layout``.
        precision: of parameters and activations.
        device: where they are.
        layout: which buffers are state, so that every node has its own.
        settings: what becomes of these.
        is_random: whether the network draws random numbers while it is trained.
        counted: its plain attributes that are other numbers after each batch.

    Attributes:
        module: the network; its parameters are views of whatever vector was bound last.
        gradient: float [parameters]; backward passes add to it.
        dtype: of parameters and activations (bf16 keeps float32 parameters and autocasts the forward pass).
        device: where parameters, gradients and activations are.
        initial: float [parameters], those that the network was made with.
        constants: a digest of what all nodes share: frozen parameters, and buffers that are no state.
        block: where in the vector the canaries' block is; None where there is none.
    """

    def __init__(
        self,
        module: nn.Module,
        precision: Precision = "fp32",
        device: str = "cpu",
        layout: Layout | None = None,
        settings: BufferSettings | None = None,
        is_random: bool = False,
        counted: Sequence[str] = (),
    ) -> None:
        self.dtype = torch.float64 if precision == "fp64" else torch.float32
        self.precision, self.device = precision, torch.device(device)
        self.module, self.is_random, self.counted = module.to(self.device, self.dtype), is_random, counted
        for layer in frozen_layers(module):
            layer.eval()
        self._evaluating = [layer for layer in module.modules() if not layer.training]
        trained = {name: each for name, each in module.named_parameters() if each.requires_grad}
        if not trained:
            what = "the network has no parameter that is trained."
            raise wrong("model", what, "Leave requires_grad of some parameters true.")
        self._names, self._parameters = list(trained), list(trained.values())
        self._shapes = [parameter.shape for parameter in self._parameters]
        self.block = self._place(PARAMETER) if PARAMETER in trained else None
        self.initial = torch.cat([_flatten(parameter.detach()) for parameter in self._parameters])
        self.gradient = torch.zeros_like(self.initial)
        self._gradients = self.views(self.gradient)
        for parameter, view in zip(self._parameters, self._gradients, strict=True):
            parameter.grad = view
        self._state = State(module, layout, settings) if layout and settings else None
        self._draws: DrawnFrom | None = None
        self._bound: Tensor | None = None
        self.bind(self.initial, self.initial_buffers)
        self.constants = digest_of_constants(module, layout)

    @property
    def num_parameters(self) -> int:
        """Length of the flat vector."""
        return len(self.initial)

    @property
    def bound(self) -> Tensor:
        """float [num_parameters], those that it is bound to."""
        assert self._bound is not None  # since it was made
        return self._bound

    @property
    def initial_buffers(self) -> Buffers | None:
        """The state that the network was made with; None where it has none."""
        return self._state.initial.clone() if self._state else None

    @property
    def layout(self) -> Layout | None:
        """Which of the network's buffers are state; None where none is."""
        return self._state.initial.layout if self._state else None

    def in_precision(self, precision: Precision) -> FlatModule:
        """The network in another precision, on the CPU; this one is not to be used any more."""
        state = self.initial_buffers
        self.bind(self.initial, state)
        layout, settings = (state.layout, state.settings) if state else (None, None)
        return FlatModule(self.module, precision, "cpu", layout, settings, self.is_random, self.counted)

    def bind(self, parameters: Tensor, buffers: Buffers | None = None) -> None:
        """Make the module's parameters views of ``parameters`` (float [parameters], contiguous).

        Args:
            parameters: what the network is to compute with.
            buffers: the state of that model, where networks like this one have any; layers in training write to it.

        Raises:
            RuntimeError: there are no ``buffers``, and the network has state.
        """
        if self._state:
            self._state.bind(buffers)
        if parameters is self._bound:
            return
        self._bound = parameters
        for parameter, view in zip(self._parameters, self.views(parameters), strict=True):
            parameter.data = view

    def fix(self, fixed: bool) -> None:
        """Let running statistics move in training, or not; binding a model's does so by itself."""
        if self._state:
            self._state.fix(fixed)

    def buffers_of(self, running: Tensor | None) -> Buffers | None:
        """Statistics of a model (float [running]) as state that can be bound with it; None where there is none.

        Raises:
            RuntimeError: there are no statistics, and the network has state.
        """
        if self._state is None:
            return None
        if running is None:
            raise RuntimeError("a model of a network with running statistics is nothing without them")
        return self._state.initial.holding(running)

    def averaged(self, running: Sequence[Tensor | None]) -> Buffers | None:
        """The state of the mean of several models, of their statistics (float [running]); None where there is none."""
        return self.merged([(1.0, each) for each in running if each is not None])

    def merged(self, terms: Sequence[tuple[float, Tensor]]) -> Buffers | None:
        """The state of a weighted mean of models, of weights and statistics of each; None where there is none."""
        return self.buffers_of(self.layout.merged(terms) if self.layout and terms else None)

    def train(self) -> None:
        """Put all layers into the modes in which the network is trained."""
        self.module.train()
        for layer in self._evaluating:
            layer.training = False
        if self._state:
            self._state.set_modes()

    def check_constants(self) -> None:
        """Refuse a network that has changed, in training, what it held still when it was looked at before the run.

        Raises:
            RunError: it has, and nodes that share it no longer train independently.
        """
        if self.constants != digest_of_constants(self.module, self.layout):
            raise RunError(
                "the network has changed a buffer or a frozen parameter that it held still in the forward pass before "
                "the run,\n    so that nodes see each other's. Register it as a buffer that every training step "
                "changes, or do not write to it."
            )

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

    def _place(self, name: str) -> slice:
        """Where a parameter is in the vector."""
        number = self._names.index(name)
        begin = sum(shape.numel() for shape in self._shapes[:number])
        return slice(begin, begin + self._shapes[number].numel())

    def autocast(self) -> AbstractContextManager[object]:
        """The context that forward passes run in."""
        if self._draws is not None:
            return self._drawing(self._draws)
        return torch.autocast(self.device.type, torch.bfloat16) if self.precision == "bf16" else nullcontext()

    @contextmanager
    def drawing(self, rng: np.random.Generator) -> Iterator[None]:
        """Let layers that draw random numbers draw those of ``rng`` within the block, in each pass the next ones."""
        generator = torch.Generator(self.device).manual_seed(int(rng.integers(2**63)))
        before, self._draws = self._draws, DrawnFrom(generator)
        try:
            yield
        finally:
            self._draws = before

    @contextmanager
    def _drawing(self, draws: DrawnFrom) -> Iterator[None]:
        with ExitStack() as stack:
            if self.precision == "bf16":
                stack.enter_context(torch.autocast(self.device.type, torch.bfloat16))
            stack.enter_context(draws)
            yield

    @torch.no_grad()
    def outputs(self, samples: Samples, preparation: Preparation) -> Tensor:
        """float [N, ...] of the bound model in evaluation mode, samples in their own order, never augmented."""
        self.module.eval()
        with self.autocast():
            chunks = torch.split(torch.arange(len(samples)), EVALUATION_BATCH)
            rows = [called(self.module, preparation(samples.inputs_at(chunk), self.dtype)) for chunk in chunks]
        self.train()
        return torch.cat([row.to(self.dtype) for row in rows])


def fill(views: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> None:
    """Copy ``gradients`` into ``views``: faster than zeros to add to. None, of what had no part in the loss, is 0."""
    for view, gradient in zip(views, gradients, strict=True):
        view.copy_(gradient) if gradient is not None else view.zero_()


def _flatten(parameter: Tensor) -> Tensor:
    return (parameter.permute(0, 2, 3, 1) if parameter.dim() == 4 else parameter).reshape(-1)


def _unflatten(piece: Tensor, shape: torch.Size) -> Tensor:
    if len(shape) != 4:
        return piece.view(*piece.shape[:-1], *shape)
    out_channels, in_channels, height, width = shape
    return piece.view(*piece.shape[:-1], out_channels, height, width, in_channels).movedim(-1, -3)
