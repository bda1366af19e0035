"""Cross-feature contrastive loss (CCL; Aketi and Roy 2024, arXiv:2310.15890)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import one_hot

from simulator.core.arrays import called
from simulator.core.declaration import Declared
from simulator.core.errors import Problem
from simulator.core.linear_memory import Memory
from simulator.core.message import Message
from simulator.core.method import Method
from simulator.core.mixer import MIXERS
from simulator.core.node import Node
from simulator.core.plan import Plan
from simulator.core.registry import PartSettings
from simulator.core.samples import Batch
from simulator.core.traits import Traits
from simulator.training.features import classifier, inputs_of

FEATURES, COUNTS = "ccl.features", "ccl.counts"
TINY = 1e-6  # of a number of samples: what a neighbour that lies can have sums divided by


class CrossFeatureContrastiveLoss(Method):
    """Nodes learn features that their neighbours' models see, too, and that samples of a class have in common.

    With x_i the model of node i when the round begins, d_i its batch, N its neighbours, and phi(d, x) the features that
    the network with parameters x has of samples d, which enter its last fully connected layer::

        exchange 1: x_i to every neighbour
        exchange 2: sums of phi(d_i, x_j) by class, and the samples of each class, back to every neighbour j
        C_i[c] = mean of the features at x_i of all samples of class c in d_i and in the d_j of all j
        loss of sample s of d_i, of class c = cross-entropy + lambda_m sum_j |phi(s, x_i) - phi(s, x_j)|^2 / F
                                              + lambda_d |phi(s, x_i) - C_i[c]|^2 / F

    with F features; phi(s, x_i) alone is differentiated. Then comes one local step, and the models of exchange 1 are
    mixed. The released code is followed, but for taking phi(., x_i) at what node i has sent, and not at the mixed
    model. Sums are over those that were heard; the released runs add `quasi_global_momentum`. With ``lambda_d: 0``
    there is no second exchange, and with both 0 this is plain gossip.

    By the second exchange a neighbour learns how many samples of each class are in a batch, and for each class their
    mean features, at a model of its own choice: of a class with one sample, that sample's features. So class shares are
    told outright, and features can be inverted. No account of privacy covers it.
    """

    class Config(PartSettings):
        """What neighbours' models (lambda_m) and neighbours' samples (lambda_d) weigh beside the cross-entropy."""

        name: str = "cross_feature_contrastive_loss"
        lambda_m: float = Field(0.1, ge=0)
        lambda_d: float = Field(0.1, ge=0)

    config: Config
    neutral: ClassVar[Mapping[str, Any]] = {"lambda_m": 0.0, "lambda_d": 0.0}

    @classmethod
    def traits(cls, config: Any) -> Traits:
        """Two exchanges before the step, or one where neighbours' samples weigh nothing, or none."""
        way = "sends sums of features of private samples, class by class" if config.lambda_d else None
        exchanges = 2 if config.lambda_d else 1 if config.lambda_m else 0
        memory = None if exchanges else Memory()
        needs = frozenset({"classes"})
        return Traits(needs=needs, exchanges=exchanges, losses="changes", beside_gradients=way, memory=memory)

    @classmethod
    def check(cls, config: Any, plan: Plan) -> Iterable[Problem]:
        """Models must be sent before the one local step, and answers find their way back."""
        if not (config.lambda_m or config.lambda_d):
            return
        if not MIXERS.load(plan.mixer.name).traits(plan.mixer).sends_early:
            what = "neighbours look at features of the models that a round begins with, and these are sent after it."
            yield Problem("", what, "Set mixer: {name: gossip, order: combine_then_adapt}.")
        if plan.training.local_steps != 1 or plan.steps_differ:
            what = "neighbours exchange the features of one batch a round, and some take more."
            yield Problem("", what, "Set training.local_steps: 1, for all nodes.")
        if config.lambda_d and not plan.network.schedule.laws.two_way:
            what = "neighbours answer each other, and some links go one way."
            yield Problem("", what, "Choose an undirected graph, or set lambda_d: 0.")
        if plan.apart:
            what = "neighbours look through each other's models, and some exchange none."
            yield Problem("", what, "Run without the method or setting that keeps them apart.")

    @classmethod
    def check_network(cls, config: Any, network: nn.Module) -> Iterable[Problem]:
        """It must have a last fully connected layer, which is trained."""
        layer = classifier(network)
        if layer is None or not layer.weight.requires_grad:
            what = "takes its features before the network's last fully connected layer, and none is there and trained."
            yield Problem("", what, "Choose a model with one, such as cnn or resnet20.")

    def before_round(self, node: Node) -> None:
        """Nobody has been heard."""
        self._models: dict[int, Tensor] = {}
        self._sums: dict[int, tuple[Tensor, Tensor]] = {}
        self._replies: dict[int, tuple[Tensor, Tensor]] = {}
        self._seen: tuple[Batch, dict[int, Tensor]] | None = None
        self._width = _layer(node.model.module).in_features

    def early_parts(self, node: Node, sender: int, round: int, exchange: int) -> Mapping[str, Declared]:
        """Sums by class, back to whose model they are of: no more of them than the classifier has weights."""
        if exchange == 1:
            return {}
        classes, dtype = node.data.classes, node.parameters.dtype
        widths = range(1, len(node.parameters) // classes + 1)
        return {
            FEATURES: Declared(dtype, (classes, widths), optional=True),
            COUNTS: Declared(dtype, (classes,), least=0, optional=True),
        }

    def objection(self, node: Node, message: Message) -> str | None:
        """Features are those of this network, and come with their number."""
        if (FEATURES in message.parts) != (COUNTS in message.parts):
            return "holds sums of features or their number without the other"
        if FEATURES in message.parts and message.parts[FEATURES].shape[1] != self._width:
            return f"holds {message.parts[FEATURES].shape[1]} features, where the network has {self._width}"
        return None

    def early_incoming(self, node: Node, exchange: int, inbox: Sequence[Message]) -> None:
        """Look through the neighbours' models; keep what they have seen through one's own."""
        if exchange == 2:
            heard = [message for message in inbox if FEATURES in message.parts]
            self._sums = {message.sender: (message.parts[FEATURES], message.parts[COUNTS]) for message in heard}
            return
        self._models = {message.sender: message.parts["parameters"] for message in inbox}
        if self.config.lambda_d:
            batch = node.coming_batch()
            features = self._through_neighbours(node, batch)
            self._replies = {sender: _by_class(node, batch, rows) for sender, rows in features.items()}

    def early_outgoing(self, node: Node, message: Message) -> Message:
        """In exchange 2, what was seen through the receiver's model, if that has come."""
        if message.exchange == 1 or message.receiver not in self._replies:
            return message
        sums, counts = self._replies[message.receiver]
        return replace(message, parts={**message.parts, FEATURES: sums, COUNTS: counts})

    def per_sample_loss(self, node: Node, batch: Batch, logits: Tensor, losses: Tensor) -> Tensor:
        """The cross-entropy and both distances."""
        model_weight, data_weight = self.config.lambda_m, self.config.lambda_d
        if not (model_weight or data_weight):
            return losses
        features = _features(node, batch).to(losses.dtype)
        if model_weight:
            for _, seen in sorted(self._through_neighbours(node, batch).items()):
                losses = losses + model_weight * (features - seen).square().mean(dim=1)
        if data_weight:
            means = _targets(node, batch) @ self._class_means(node, batch, features.detach())
            losses = losses + data_weight * (features - means).square().mean(dim=1)
        return losses

    def _class_means(self, node: Node, batch: Batch, features: Tensor) -> Tensor:
        """float [classes, F]: over the node's batch and those of its neighbours; 0 for a class that none holds."""
        sums, counts = _by_class(node, batch, features)
        for sender in sorted(self._sums):
            sums, counts = sums + self._sums[sender][0], counts + self._sums[sender][1]
        return sums / counts.clamp(min=TINY)[:, None]

    def _through_neighbours(self, node: Node, batch: Batch) -> dict[int, Tensor]:
        """float [B, F] by neighbour: the features that its model has of ``batch``; looked at once a batch."""
        if self._seen is None or self._seen[0] is not batch:
            self._seen = batch, {sender: _features_at(node, model, batch) for sender, model in self._models.items()}
        return self._seen[1]


def _layer(network: nn.Module) -> nn.Linear:
    layer = classifier(network)
    assert layer is not None  # `check_network` saw to it
    return layer


def _features(node: Node, batch: Batch) -> Tensor:
    """float [B, F] of the node's model, to be differentiated; its running statistics do not move once more."""
    module = node.model
    module.bind(node.parameters, node.buffers and node.buffers.clone())
    with inputs_of(_layer(module.module)) as seen, module.autocast():
        called(module.module, batch.inputs)
    module.bind(node.parameters, node.buffers)
    return seen[-1]


@torch.no_grad()
def _features_at(node: Node, parameters: Tensor, batch: Batch) -> Tensor:
    """float [B, F] of the network with ``parameters``, in evaluation mode."""
    module = node.model
    module.bind(parameters, node.buffers)
    module.module.eval()
    with inputs_of(_layer(module.module)) as seen, module.autocast():
        called(module.module, batch.inputs)
    module.train()
    module.bind(node.parameters, node.buffers)
    return seen[-1].to(parameters.dtype)


def _targets(node: Node, batch: Batch) -> Tensor:
    """float [B, classes]: the share of each class in each sample's label."""
    targets = batch.targets if batch.targets.dim() == 2 else one_hot(batch.targets, node.data.classes)
    return targets.to(node.parameters.dtype)


def _by_class(node: Node, batch: Batch, features: Tensor) -> tuple[Tensor, Tensor]:
    """float [classes, F] and [classes]: sums of ``features`` over the samples of each class, and their number."""
    targets = _targets(node, batch)
    return targets.T @ features, targets.sum(dim=0)
