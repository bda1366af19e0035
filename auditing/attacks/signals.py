"""Signals of a network's outputs, and of its gradients in the parameters."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor
from torch.func import grad, vmap

from auditing.attacks.probed_batch import ProbedBatch
from auditing.attacks.probed_model import ProbedModel
from auditing.attacks.signal import Signal
from simulator.core.arrays import Arrays, mapped, taken
from simulator.core.flat_module import FlatModule
from simulator.core.task import Task
from simulator.training.layerwise import Layerwise, NotLayerwiseError
from simulator.training.layerwise_trial import layers_aside

CHECKED = 3  # samples, whose gradients are written out to see that layers tell the same
GRADIENT_BYTES = 2**28  # that single samples' gradients may take at once: of large networks they would fill the memory


class OfOutputs(Signal):
    """Base of the signals of what a network puts out, which is computed once for all of them; override `of_outputs`."""

    @abstractmethod
    def of_outputs(self, task: Task, outputs: Tensor, targets: Tensor) -> Tensor:
        """float [B], of the outputs for B samples and their targets, both as ``task`` has them."""

    @torch.no_grad()
    def on_batch(self, model: ProbedModel, inputs: Arrays, targets: Tensor, rng: np.random.Generator) -> Tensor:
        """`of_outputs` of one model."""
        return self.of_outputs(model.task, model.outputs(inputs), targets)

    @torch.no_grad()
    def on_models(self, batch: ProbedBatch, rng: np.random.Generator) -> Tensor:
        """`of_outputs` of all models at once."""
        found = self.of_outputs(batch.model.task, batch.outputs.flatten(0, 1), batch.repeated_targets)
        return found.view(batch.models, -1)


class Loss(OfOutputs):
    """The task's loss; of classes cross-entropy (Yeom et al. 2018)."""

    needs: ClassVar[frozenset[str]] = frozenset()
    log_probability: ClassVar[bool] = True

    def of_outputs(self, task: Task, outputs: Tensor, targets: Tensor) -> Tensor:
        """Of classes -log p_y, with y the true label."""
        return task.losses(outputs, targets)


class LogitMargin(OfOutputs):
    """Log-odds of the true label against all others (Carlini et al. 2022, LiRA, eq. 6); else the task's margin."""

    needs: ClassVar[frozenset[str]] = frozenset({"margins"})
    members: ClassVar[Literal["low", "high"]] = "high"

    def of_outputs(self, task: Task, outputs: Tensor, targets: Tensor) -> Tensor:
        """Of classes log p_y - log sum_{k != y} p_k with y the true label; of others `Task.margins`."""
        if not task.has_classes:
            margins = task.margins(outputs, targets)
            assert margins is not None  # where there are none the signal is refused
            return margins
        others = outputs.scatter(1, targets[:, None], -torch.inf).logsumexp(1)
        margin: Tensor = outputs.gather(1, targets[:, None])[:, 0] - others
        return margin


class ModifiedEntropy(OfOutputs):
    """Entropy of the prediction, counted for or against the true label (Song and Mittal 2021, eq. 8)."""

    def of_outputs(self, task: Task, outputs: Tensor, targets: Tensor) -> Tensor:
        """-(1 - p_y) log p_y - sum_{k != y} p_k log(1 - p_k) with y the true label."""
        log_p = outputs.log_softmax(1)
        # log(1 - p_k) from the other logits: exact where p_k rounds to 1.
        off = torch.eye(outputs.shape[1], dtype=torch.bool)
        log_rest = outputs[:, None, :].masked_fill(off, -torch.inf).logsumexp(2) - outputs.logsumexp(1, keepdim=True)
        true = torch.nn.functional.one_hot(targets, outputs.shape[1]).bool()
        return -torch.where(true, log_rest.exp() * log_p, log_p.exp() * log_rest).sum(1)


class GradientNorm(Signal):
    """Norm of the loss's gradient in the parameters (Nasr et al. 2019)."""

    needs: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._ways: WeakKeyDictionary[FlatModule, Layerwise | None] = WeakKeyDictionary()  # found by trying, once

    def on_batch(self, model: ProbedModel, inputs: Arrays, targets: Tensor, rng: np.random.Generator) -> Tensor:
        """The Euclidean norm of each sample's own gradient, layer by layer where the network allows it."""
        if layers := self._layers(model, inputs, targets):
            return self._of_layers(layers, model.task, [model.network.bound], inputs, targets)[0]
        return self._of_gradients(model, inputs, targets)

    def on_models(self, batch: ProbedBatch, rng: np.random.Generator) -> Tensor:
        """Of all models in one pass, where layers tell the norms and models have no state beside their parameters."""
        if batch.stack and not batch.stack.buffers:
            model = next(batch.each())
            if layers := self._layers(model, batch.inputs, batch.targets):
                inputs = model.named(batch.inputs, batch.point)
                return self._of_layers(layers, model.task, [*batch.stack.parameters], inputs, batch.repeated_targets)
        return super().on_models(batch, rng)

    def _layers(self, model: ProbedModel, inputs: Arrays, targets: Tensor) -> Layerwise | None:
        """The network, looked at layer by layer; None where that is not known to tell norms."""
        if len(targets) > CHECKED and model.network not in self._ways:
            few = mapped(inputs, lambda array: array[:CHECKED])
            self._ways[model.network] = self._tried(model, few, targets[:CHECKED])
        return self._ways.get(model.network)

    def _tried(self, model: ProbedModel, inputs: Arrays, targets: Tensor) -> Layerwise | None:
        """The network, looked at layer by layer; None where that does not tell what writing out a few samples does."""
        try:
            layers = Layerwise(model.network, layers_aside(model.network.module, inputs))
            (found,) = self._of_layers(layers, model.task, [model.network.bound], inputs, targets)
        except NotLayerwiseError:
            return None
        return layers if torch.allclose(found, self._of_gradients(model, inputs, targets)) else None

    @staticmethod
    def _of_layers(layers: Layerwise, task: Task, models: Sequence[Tensor], inputs: Arrays, targets: Tensor) -> Tensor:
        """float [n, B] of n ``models``, by their parameters; ``inputs`` and ``targets`` once for each, [n * B, ...]."""

        def loss(outputs: Tensor) -> Tensor:
            return task.losses(outputs, targets).sum()

        lengths = [len(targets) // len(models)] * len(models)
        return torch.stack([samples.norms() for samples in layers.gradients(models, lengths, inputs, loss)])

    def _of_gradients(self, model: ProbedModel, inputs: Arrays, targets: Tensor) -> Tensor:
        named = model.network.module.named_parameters()
        parameters = {name: parameter.detach() for name, parameter in named if parameter.requires_grad}
        gradients_of = vmap(grad(model.loss_at), in_dims=(None, 0, 0))
        together = max(1, GRADIENT_BYTES // sum(each.nbytes for each in parameters.values()))
        norms = []
        for rows in torch.split(torch.arange(len(targets)), together):
            gradients = gradients_of(parameters, taken(inputs, rows), targets[rows]).values()
            norms.append(torch.stack([each.flatten(1).square().sum(1) for each in gradients]).sum(0).sqrt())
        return torch.cat(norms)
