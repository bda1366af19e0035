"""Progressive knowledge distillation (Soufleri, Ravikumar and Roy 2024, arXiv:2407.02713): the method itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from methods.pkd import report
from methods.pkd.exchange import Exchange
from methods.pkd.schedule import OWN, PKDSettings, problems, teacher
from methods.pkd.teachers import held, require
from simulator.core.declaration import Declared
from simulator.core.errors import Problem
from simulator.core.linear_memory import Memory
from simulator.core.message import Message
from simulator.core.method import Method
from simulator.core.multi_exit import exit_logits, multi_exit
from simulator.core.node import Node
from simulator.core.plan import Plan
from simulator.core.report import FinishedRun, Section
from simulator.core.samples import Batch
from simulator.core.traits import Traits


class PKD(Method):
    """Backbones learn from labels; then they rest, and their final classifiers teach the internal ones.

    Before ``first_round`` the loss of a sample is the mean over modalities of the cross-entropy of the stream's final
    classifier. From then on backbones and final classifiers are not trained, though gossip still averages them, and the
    loss is the sum over all internal classifiers k of

        - sum_c softmax(z_teacher / T)_c log softmax(z_k / T)_c,

    where the teachers are the final classifiers of the motion vectors', then the residuals', then the I-frames' stream:
    the flatter the minimum, the later. Neither labels nor a factor T^2 come in. Controls: ``teachers: []`` (labels
    only, the paper's CE), ``[iframe]``, and ``[iframe, residual, mv]``. In the released code for CoViAR, what teaches
    last is the student's ``own`` final classifier.

    Unlike there, teacher and student see the same crop, and no statistics of a frozen backbone move on. Steps are the
    experiment's, not Adam's. List this method last: what it freezes stays so only if no later method changes the
    gradient.

    Where nodes hold all modalities, nothing is sent beside the parameters. Where each holds one
    (``data.modality_by_node``), teachers are at other nodes: in the round before a teacher's turn, the nodes of its
    modality send their neighbours softmax(z_teacher / T) of the public samples. Throughout the turn, a node's internal
    classifiers learn on the public samples alone, from the mean of what it has heard, its own labels included if it
    teaches, too. A node that hears nothing, or whose turn is ``own``, learns from its own final classifier. What these
    messages reveal is in `methods.pkd.report.DISCLOSURES`.
    """

    Config = PKDSettings
    config: PKDSettings
    neutral: ClassVar[Mapping[str, Any]] = {"first_round": None}

    @classmethod
    def traits(cls, config: Any) -> Traits:
        """Where it teaches, some classifiers alone are trained, by losses of its own, and what rests has no account."""
        teaches = config.first_round is not None
        return Traits(
            row_wise=True,
            needs=frozenset({"classes", "images"} | ({"exits"} if teaches else set())),
            losses="replaces" if teaches else "watches",
            beside_gradients=None,
            memory=None if teaches else Memory(),
        )

    @classmethod
    def check(cls, config: Any, plan: Plan) -> Iterable[Problem]:
        """Every teacher must have a turn."""
        return problems(config, plan)

    @classmethod
    def sections(cls, config: Any, record: FinishedRun) -> Sequence[Section]:
        """How accurate each exit is at the end."""
        return report.sections(config, record)

    def setup(self, node: Node) -> None:
        """Teachers must be there.

        Raises:
            InputError: one is not, or has no way to teach.
        """
        require(self.config, node.data)
        self._exchange = Exchange(self.config, node)
        self._masks: dict[bool, Tensor] = {}

    def before_round(self, node: Node) -> None:
        """What rests has no momentum."""
        if self._distils(node) and node.momentum is not None:
            node.momentum.mul_(self._trained(node))

    def per_sample_loss(self, node: Node, batch: Batch, logits: Tensor, losses: Tensor) -> Tensor:
        """Of the final classifiers, or of the internal ones."""
        if self.config.first_round is None:
            return losses
        with node.model.autocast():
            found = self._distillation(node, batch) if self._distils(node) else _final_losses(node, batch)
        return found.to(losses.dtype)

    def before_step(self, node: Node, batch: Batch) -> None:
        """Keep weight decay, too, away from what is not trained."""
        if self.config.first_round is not None:
            node.gradient.mul_(self._trained(node))

    def after_local_training(self, node: Node) -> None:
        """A node that will teach adds its labels of the public samples."""
        self._exchange.label(node)

    def outgoing(self, node: Node, message: Message) -> Message:
        """With a teacher's labels."""
        return self._exchange.outgoing(node, message)

    def parts(self, node: Node, sender: int, round: int) -> Mapping[str, Declared]:
        """A teacher's labels."""
        return self._exchange.parts(node, sender, round)

    def objection(self, node: Node, message: Message) -> str | None:
        """A teacher's labels are probabilities."""
        return self._exchange.objection(message)

    def incoming(self, node: Node, message: Message) -> Message:
        """Keep a teacher's labels."""
        self._exchange.hear(message)
        return message

    def after_mixing(self, node: Node) -> None:
        """Take them as what to learn."""
        self._exchange.learn(node)

    def finalize(self, node: Node) -> None:
        """Log the test accuracy of each exit, and the mean over internal ones."""
        if self.config.first_round is None:
            return
        test, network = node.data.test, multi_exit(node.model)
        right = exit_logits(node.model, test, node.data.normalizer).argmax(dim=2) == test.targets_at(
            torch.arange(len(test))
        )
        accuracies = right.double().mean(dim=1).view(-1, network.stages)
        for modality, row in zip(held(node.data), accuracies, strict=True):
            for stage, value in enumerate(row.tolist(), 1):
                node.log(report.metric(modality, stage), value)
        node.log(report.INTERNAL, accuracies[:, :-1].mean().item())

    def _distils(self, node: Node) -> bool:
        return self.config.first_round is not None and node.round >= self.config.first_round

    def _distillation(self, node: Node, batch: Batch) -> Tensor:
        """float [B]: the sum over internal classifiers."""
        name = None if self._exchange.takes_place else teacher(self.config, node.round, node.rounds)
        network = multi_exit(node.model)
        exits = {modality: list(network.walk(batch.images, modality)) for modality in network.modalities}
        losses = [
            self._lesson(student, None if name is None else exits[own if name == OWN else name][-1], batch)
            for own, (*internal, _) in exits.items()
            for student in internal
        ]
        return torch.stack(losses).sum(dim=0)

    def _lesson(self, student: Tensor, teacher: Tensor | None, batch: Batch) -> Tensor:
        if teacher is None:
            if self._exchange.takes_place and batch.targets.is_floating_point():  # labels made at the temperature
                student = student / self.config.temperature
            return cross_entropy(student, batch.targets, reduction="none")
        return soft_cross_entropy(teacher, student, self.config.temperature)

    def _trained(self, node: Node) -> Tensor:
        """float [parameters]: 1 for what is trained in this round."""
        distils = self._distils(node)
        if distils not in self._masks:
            internal, mask = multi_exit(node.model).internal_parameters(), torch.zeros_like(node.parameters)
            for name, view in node.model.named_views(mask).items():
                view.fill_(float((name in internal) == distils))
            self._masks[distils] = mask
        return self._masks[distils]


def soft_cross_entropy(teacher: Tensor, student: Tensor, temperature: float) -> Tensor:
    """float [B], of logits [B, classes]; the teacher has no gradient."""
    soft = (teacher.detach() / temperature).softmax(dim=1)
    return -(soft * (student / temperature).log_softmax(dim=1)).sum(dim=1)


def _final_losses(node: Node, batch: Batch) -> Tensor:
    network = multi_exit(node.model)
    each = [network.final(batch.images, modality) for modality in network.modalities]
    return torch.stack([cross_entropy(logits, batch.targets, reduction="none") for logits in each]).mean(dim=0)
