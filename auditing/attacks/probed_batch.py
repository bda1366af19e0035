"""Samples that one model is asked about, or several models of one network at once: what signals are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from auditing.attacks.curvature import Losses, Point
from auditing.attacks.probed_model import ProbedModel
from simulator.core.arrays import Arrays, leaves, mapped
from simulator.core.buffers.layout import Buffers
from simulator.training.rows import stacked_state
from simulator.training.stacked_module import StackedModule


@dataclass(frozen=True)
class Stack:
    """Models of one network that are run as one program.

    Attributes:
        parameters: float [n, parameters].
        buffers: the state of each, where the network keeps any.
    """

    parameters: Tensor
    buffers: Sequence[Buffers] = ()

    @property
    def state(self) -> Mapping[str, Tensor] | None:
        """The buffers by name, with n in front; None where there are none."""
        return stacked_state(self.buffers) if self.buffers else None


@dataclass(frozen=True)
class ProbedBatch:
    """B samples, and the n models that are asked about all of them.

    Attributes:
        model: the network, in evaluation mode; where there is no ``stack``, with the only model's parameters bound.
        inputs: [B, ...] as the network takes them; not to be written to.
        targets: [B, ...] as the task has them.
        stack: the models; None: one, which is bound.
    """

    model: ProbedModel
    inputs: Arrays
    targets: Tensor
    stack: Stack | None = None
    # In Python 3.11 one lock of cached_property, for all batches, would let threads wait for each other.
    _known: dict[str, Tensor] = field(default_factory=dict, init=False)

    @property
    def models(self) -> int:
        """How many there are, n."""
        return len(self.stack.parameters) if self.stack else 1

    def each(self) -> Iterator[ProbedModel]:
        """One model after the other, with its parameters bound."""
        if self.stack is None:
            yield self.model
            return
        for place, parameters in enumerate(self.stack.parameters):
            self.model.network.bind(parameters, self.stack.buffers[place] if self.stack.buffers else None)
            yield self.model

    @property
    def outputs(self) -> Tensor:
        """float [n, B, ...], computed once for all signals; not to be differentiated."""
        if "outputs" not in self._known:
            with torch.no_grad():
                self._known["outputs"] = self._outputs(self.inputs, shared=True)
        return self._known["outputs"]

    @property
    def repeated_targets(self) -> Tensor:
        """[n * B, ...], the targets once for each model."""
        return torch.cat([self.targets] * self.models)

    @property
    def point(self) -> Point:
        """The inputs once for each model, without their names: each [n * B, ...]."""
        return tuple(torch.cat([array] * self.models) for array in leaves(self.inputs))

    @property
    def losses(self) -> Losses:
        """float [n * B], each model's losses at its own part of what is like `point`; to be differentiated."""
        return Losses(
            lambda at: self._outputs(self.model.named(self.inputs, at), shared=False).flatten(0, 1),
            lambda outputs: self.model.task.losses(outputs, self.repeated_targets),
        )

    def _outputs(self, inputs: Arrays, shared: bool) -> Tensor:
        """float [n, B, ...] of inputs [B, ...] where they are ``shared``, else of [n * B, ...]."""
        if self.stack is None:
            return self.model.outputs(inputs)[None]
        given = inputs if shared else mapped(inputs, lambda array: array.view(self.models, -1, *array.shape[1:]))
        stacked = StackedModule(self.model.network)
        return stacked.outputs(self.stack.parameters, given, shared=shared, buffers=self.stack.state)
