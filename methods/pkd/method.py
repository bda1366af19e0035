"""Progressive knowledge distillation (Soufleri, Ravikumar and Roy 2024, arXiv:2407.02713): the method itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from methods.pkd import report
from methods.pkd.schedule import OWN, PKDSettings, problems, teacher
from simulator.core.errors import Problem, wrong
from simulator.core.method import Method
from simulator.core.multi_exit import exit_logits, multi_exit
from simulator.core.node import Node
from simulator.core.plan import Plan
from simulator.core.report import RunRecord, Section
from simulator.core.samples import Batch


class PKD(Method):
    """Backbones learn from labels; then they rest, and their final classifiers teach the internal ones.

    Before ``start_round`` the loss of a sample is the mean over modalities of the cross-entropy of the stream's final
    classifier. From then on backbones and final classifiers are not trained, though gossip still averages them, and the
    loss is the sum over all internal classifiers k of

        - sum_c softmax(z_teacher / T)_c log softmax(z_k / T)_c,

    where the teachers are the final classifiers of the motion vectors', then the residuals', then the I-frames' stream:
    the flatter the minimum, the later. Neither labels nor a factor T^2 come in. Controls: ``teachers: []`` (labels
    only, the paper's CE), ``[iframe]``, and ``[iframe, residual, mv]``. In the released code for CoViAR, what teaches
    last is the student's ``own`` final classifier.

    Unlike there, teacher and student see the same crop, and no statistics of a frozen backbone move on. Steps are the
    experiment's, not Adam's. Nothing is sent beside the parameters. List this method last: what it freezes stays so
    only if no later method changes the gradient.
    """

    Config = PKDSettings
    config: PKDSettings
    neutral: ClassVar[Mapping[str, Any]] = {"start_round": None}
    stackable: ClassVar[bool] = False

    @classmethod
    def needs(cls, config: Any) -> frozenset[str]:
        """A network with exits."""
        return frozenset({"exits"} if config.start_round is not None else ())

    @classmethod
    def check(cls, config: Any, plan: Plan) -> Iterable[Problem]:
        """Every teacher must have a turn."""
        return problems(config, plan)

    @classmethod
    def sections(cls, config: Any, record: RunRecord) -> Sequence[Section]:
        """How accurate each exit is at the end."""
        return report.sections(config, record)

    def setup(self, node: Node) -> None:
        """Teachers must be there.

        Raises:
            InputError: the samples lack a teacher's modality.
        """
        known = [*dict.fromkeys(channel.group for channel in node.data.channels), OWN]
        for name in self.config.teachers if self.config.start_round is not None else ():
            if name not in known:
                what = f"the samples have no modality '{name}'."
                raise wrong("pkd.teachers", what, f"Choose among {', '.join(known)}, or add it to the data's views.")
        self._masks: dict[bool, Tensor] = {}

    def before_round(self, node: Node) -> None:
        """What rests has no momentum."""
        if self._distils(node) and node.momentum is not None:
            node.momentum.mul_(self._trained(node))

    def per_sample_loss(self, node: Node, batch: Batch, logits: Tensor, losses: Tensor) -> Tensor:
        """Of the final classifiers, or of the internal ones."""
        if self.config.start_round is None:
            return losses
        with node.model.autocast():
            found = self._distillation(node, batch) if self._distils(node) else _final_losses(node, batch)
        return found.to(losses.dtype)

    def before_step(self, node: Node, batch: Batch) -> None:
        """Keep weight decay, too, away from what is not trained."""
        if self.config.start_round is not None:
            node.gradient.mul_(self._trained(node))

    def finalize(self, node: Node) -> None:
        """Log the test accuracy of each exit, and the mean over internal ones."""
        if self.config.start_round is None:
            return
        test, network = node.data.test, multi_exit(node.model)
        right = exit_logits(node.model, test, node.data.normalizer).argmax(dim=2) == test.labels_at(
            torch.arange(len(test))
        )
        accuracies = right.double().mean(dim=1).view(-1, network.stages)
        for modality, row in zip(network.modalities, accuracies, strict=True):
            for stage, value in enumerate(row.tolist(), 1):
                node.log(report.metric(modality, stage), value)
        node.log(report.INTERNAL, accuracies[:, :-1].mean().item())

    def _distils(self, node: Node) -> bool:
        return self.config.start_round is not None and node.round >= self.config.start_round

    def _distillation(self, node: Node, batch: Batch) -> Tensor:
        """float [B]: the sum over internal classifiers."""
        name, network = teacher(self.config, node.round, node.rounds), multi_exit(node.model)
        exits = {modality: list(network.walk(batch.images, modality)) for modality in network.modalities}
        losses = [
            self._lesson(student, None if name is None else exits[own if name == OWN else name][-1], batch)
            for own, (*internal, _) in exits.items()
            for student in internal
        ]
        return torch.stack(losses).sum(dim=0)

    def _lesson(self, student: Tensor, teacher: Tensor | None, batch: Batch) -> Tensor:
        if teacher is None:
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
