"""Many nodes as one program: for GPUs, and for small dense models on a CPU."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import pairwise

import torch
from torch import Tensor

from simulator.core.flat_module import EVALUATION_BATCH, FlatModule
from simulator.core.hook_results import call
from simulator.core.node import Node
from simulator.core.samples import Batch
from simulator.training.by_sample import BySample
from simulator.training.chunks import nodes_a_chunk
from simulator.training.evaluation import Scores, score
from simulator.training.feed import StackedBatch, batch_length, separate_batches, stacked_batches
from simulator.training.hooks import combining, losses_by, overriding
from simulator.training.rows import rows_of, state_rows_of
from simulator.training.stacked_module import StackedModule
from simulator.training.trainer import Trainer


class Stacked(Trainer):
    """Trains nodes in chunks, each with its parameters as rows of one matrix and one backward pass for all its nodes.

    A chunk holds nodes that take as many steps on batches as large, so nothing is padded; where a method wants
    gradients sample by sample, the samples of all its nodes go through the network together, however many each has.
    Results are those of `Sequential` up to the order in which floats are summed.
    """

    typical = 32

    def __init__(self, module: FlatModule) -> None:
        super().__init__(module)
        self._stacked, self._by_sample = StackedModule(module), BySample(module)
        self._memory = _GradientMemory(module)
        self._most: dict[Hashable, int] = {}  # nodes of a kind in a chunk

    def train(self, nodes: Sequence[Node]) -> None:
        """One chunk after the other."""
        for chunk in self._chunks(nodes, lambda node: (batch_length(node), node.local_steps, _is_fixed(node))):
            self.module.fix(bool(_is_fixed(chunk[0])))
            with rows_of(chunk, "parameters") as parameters, state_rows_of(chunk) as state:
                _Chunk(self._stacked, self._by_sample, chunk, parameters, self._memory, state).train()

    def evaluate(self, nodes: Sequence[Node]) -> list[Scores]:
        """A chunk of nodes at a time, on the test samples that they share."""
        scores: dict[int, Scores] = {}
        for chunk in self._chunks(nodes, lambda node: (id(node.data.test.index), node.data.preparation)):
            with rows_of(chunk, "parameters") as parameters, state_rows_of(chunk) as state:
                scores |= zip((node.id for node in chunk), self._scores(chunk[0], parameters, state), strict=True)
        return [scores[node.id] for node in nodes]

    @torch.no_grad()
    def _scores(self, node: Node, parameters: Tensor, state: Mapping[str, Tensor] | None) -> list[Scores]:
        test, views = node.data.test, self.module.named_views(parameters)
        self.module.module.eval()
        batches = (test.inputs_at(rows) for rows in torch.split(torch.arange(len(test)), EVALUATION_BATCH))
        outputs = [
            self._stacked.outputs(views, node.data.preparation(batch, self.module.dtype), shared=True, buffers=state)
            for batch in batches
        ]
        self.module.train()
        targets, task = test.targets_at(torch.arange(len(test))), node.data.task
        return [score(task, rows.to(self.module.dtype), targets) for rows in torch.cat(outputs, dim=1)]

    def _chunks(self, nodes: Sequence[Node], kind: Callable[[Node], Hashable]) -> Iterator[Sequence[Node]]:
        """Nodes of one kind, in pieces of nearly equal size."""
        groups: defaultdict[Hashable, list[Node]] = defaultdict(list)
        for node in nodes:
            groups[kind(node)].append(node)
        for alike, group in groups.items():
            if alike not in self._most:
                self._most[alike] = nodes_a_chunk(self._stacked, self._by_sample, group[0])
            pieces = -(-len(group) // self._most[alike])
            for start, end in pairwise(len(group) * piece // pieces for piece in range(pieces + 1)):
                yield group[start:end]


class _GradientMemory:
    """Kept from round to round, for fresh memory is slow at first touch."""

    def __init__(self, module: FlatModule) -> None:
        self._module = module
        self._rows = module.initial.new_zeros(0, module.num_parameters)
        self._layers: dict[str, Tensor] = {}

    def rows(self, n: int) -> Tensor:
        """float [n, parameters]."""
        if len(self._rows) < n:
            self._rows = self._rows.new_zeros(n, self._module.num_parameters)
        return self._rows[:n]

    def layers(self, n: int) -> dict[str, Tensor]:
        """float [n, ...] of each parameter by its name, in one piece: products of many matrices want it so."""
        if not self._layers or len(next(iter(self._layers.values()))) < n:
            shapes = self._module.named_views(self._module.initial)
            self._layers = {name: view.new_zeros(n, *view.shape) for name, view in shapes.items()}
        return {name: layer[:n] for name, layer in self._layers.items()}


class _Chunk:
    """Nodes in step with each other, for one round of local steps."""

    def __init__(
        self,
        stacked: StackedModule,
        by_sample: BySample,
        nodes: Sequence[Node],
        parameters: Tensor,
        memory: _GradientMemory,
        state: Mapping[str, Tensor] | None,
    ) -> None:
        self._stacked, self._by_sample, self._nodes, self._state = stacked, by_sample, nodes, state
        self._parameters, self._gradient = parameters, memory.rows(len(nodes))
        self._loss_hooks = [overriding(node, "per_sample_loss") if node.methods else [] for node in nodes]
        self._step_hooks = [overriding(node, "before_step") if node.methods else [] for node in nodes]
        # Where no method looks at the whole gradient, that of each dense layer stays in a piece of its own.
        self._by_layer = stacked.is_dense and not any(self._step_hooks) and not combining(nodes[0])
        self._views = stacked.module.named_views(parameters)
        self._found = memory.layers(len(nodes)) if self._by_layer else stacked.module.named_views(self._gradient)

    def train(self) -> None:
        """All steps of the round; losses are read once, at its end, so that a GPU need not be waited for."""
        settings, steps = self._nodes[0].training, self._nodes[0].local_steps
        losses = torch.zeros(len(self._nodes), dtype=torch.float64, device=self._parameters.device)
        with rows_of(self._nodes, "momentum") if settings.optimizer.momentum else nullcontext() as momentum:
            for found, batch_of in self._steps(steps):
                losses += found
                if self._by_layer:
                    own = {} if momentum is None else self._stacked.module.named_views(momentum)
                    for name, view in self._views.items():
                        self._decay(view, self._found[name])
                        self._move(view, self._found[name], own.get(name))
                else:
                    self._decay(self._parameters, self._gradient)
                    self._before_step(batch_of)
                    self._move(self._parameters, self._gradient, momentum)
        for node, loss in zip(self._nodes, (losses / steps).tolist(), strict=True):
            node.record_loss(loss)

    def _steps(self, steps: int) -> Iterator[tuple[Tensor, Callable[[int], Batch]]]:
        """Step by step, with the gradients in the rows: the losses, float [n], and each node's batch, by its place."""
        if combining(self._nodes[0]):
            for parts in separate_batches(self._nodes, steps):
                yield self._by_sample.backward(self._nodes, parts, self._gradient), parts.__getitem__
        else:
            for batch in stacked_batches(self._nodes, steps):
                yield self._backward(batch), batch.part

    def _backward(self, batch: StackedBatch) -> Tensor:
        """Leave the nodes' gradients in the rows; returns their losses, float [n]."""
        task, means = self._nodes[0].data.task, self._gradient[:, 0]

        def loss(outputs: Tensor) -> Tensor:
            nonlocal means
            wide = outputs.to(self._parameters.dtype).flatten(0, 1)
            losses = task.losses(wide, batch.targets.flatten(0, 1)).view(outputs.shape[:2])
            means = self._through_methods(batch, outputs, losses).mean(dim=1)
            return means.sum()

        self._stacked.backward(self._parameters, batch.inputs, loss, self._found, self._state)
        return means.detach()

    def _through_methods(self, batch: StackedBatch, outputs: Tensor, losses: Tensor) -> Tensor:
        """The losses to train on, float [n, B]."""
        if not any(self._loss_hooks):
            return losses
        rows = list(losses)
        for place, (node, methods) in enumerate(zip(self._nodes, self._loss_hooks, strict=True)):
            with node.using(self._stacked.module, self._gradient[place]):
                if methods:
                    rows[place] = losses_by(methods, node, batch.part(place), outputs[place], rows[place])
        return torch.stack(rows)

    def _before_step(self, batch_of: Callable[[int], Batch]) -> None:
        for place, (node, methods) in enumerate(zip(self._nodes, self._step_hooks, strict=True)):
            if methods:
                with node.using(self._stacked.module, self._gradient[place]):
                    call(node, "before_step", methods, batch_of(place))

    def _decay(self, parameters: Tensor, gradient: Tensor) -> None:
        if decay := self._nodes[0].training.optimizer.weight_decay:
            gradient.add_(parameters, alpha=decay)

    def _move(self, parameters: Tensor, gradient: Tensor, momentum: Tensor | None) -> None:
        """Move all of the parameters, or those of a layer ([n, ...]); ``gradient`` is left alone."""
        optimizer, direction = self._nodes[0].training.optimizer, gradient
        if momentum is not None:
            momentum.mul_(optimizer.momentum).add_(gradient)
            direction = gradient.add(momentum, alpha=optimizer.momentum) if optimizer.nesterov else momentum
        rates = [node.learning_rate for node in self._nodes]
        if len(set(rates)) == 1:
            parameters.add_(direction, alpha=-rates[0])
        else:
            parameters.sub_(direction * direction.new_tensor(rates).view(-1, *[1] * (direction.dim() - 1)))


def _is_fixed(node: Node) -> bool | None:
    """Whether its running statistics no longer move; None where there are none."""
    return node.buffers.fixed if node.buffers else None
