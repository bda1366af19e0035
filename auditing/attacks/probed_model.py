"""A model that is asked about samples: a network, and what it takes to ask it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.func import functional_call

from simulator.core.arrays import Arrays, called, mapped
from simulator.core.flat_module import FlatModule
from simulator.core.preparation import Preparation
from simulator.core.task import Task


@dataclass(frozen=True)
class ProbedModel:
    """A network with parameters bound, on samples of one kind.

    Attributes:
        network: in the precision to compute in.
        preparation: makes its input of samples as they are stored.
        task: what its outputs are for.
    """

    network: FlatModule
    preparation: Preparation
    task: Task

    def outputs(self, inputs: Arrays) -> Tensor:
        """float [B, ...] of prepared ``inputs``, to be differentiated."""
        return called(self.network.module, inputs)

    def losses(self, inputs: Arrays, targets: Tensor) -> Tensor:
        """float [B], the task's loss of each sample, to be differentiated."""
        return self.task.losses(self.outputs(inputs), targets)

    @staticmethod
    def named(like: Arrays, at: tuple[Tensor, ...]) -> Arrays:
        """The arrays ``at`` under the names that ``like`` has."""
        return at[0] if isinstance(like, Tensor) else dict(zip(like, at, strict=True))

    def loss_at(self, parameters: Mapping[str, Tensor], one: Arrays, target: Tensor) -> Tensor:
        """The loss of one sample, without a dimension of samples, with ``parameters`` by name in place of its own."""
        batch = mapped(one, lambda array: array[None])
        args, named = ((batch,), {}) if isinstance(batch, Tensor) else ((), dict(batch))
        outputs: Tensor = functional_call(self.network.module, dict(parameters), args, named)
        return self.task.losses(outputs, target[None])[0]
