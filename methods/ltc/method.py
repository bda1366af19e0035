"""LTC and CLD (Nagaraj et al. 2025, arXiv:2503.09721 and arXiv:2508.20230): the method itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from methods.ltc import report
from methods.ltc.class_means import ClassMeans
from methods.ltc.settings import LTCSettings
from methods.ltc.watch import Watch
from simulator.core.declaration import Declared
from simulator.core.errors import Problem, RunError
from simulator.core.linear_memory import Memory
from simulator.core.message import Message
from simulator.core.method import Method
from simulator.core.nested_state import Stateful, load_nested, nested
from simulator.core.node import Node
from simulator.core.plan import Plan
from simulator.core.report import FinishedRun, Section
from simulator.core.samples import Batch
from simulator.core.traits import Traits
from simulator.data.coreset import coreset
from simulator.training.observations import evaluated

PART = "ltc.validation"


class LTC(Method):
    """Each node keeps the training samples whose loss falls when that of validation samples of their class falls.

    At a checkpoint, every ``every`` rounds after local training, with l_e(m) the loss of training sample m, y_m its
    class, and v_e(c) the mean loss of the validation samples of class c::

        score(m) = Pearson over e of (l_{e+1}(m) - l_e(m), v_{e+1}(y_m) - v_e(y_m))

    or of (l_e(m), v_e(y_m)) under ``trajectory: raw``; 0 where either is constant. That is CLD, the authors' successor
    of LTC, as released, where there is an epoch between checkpoints. Losses are those of the model as it is, on images
    as they are (``mode: eval_pass``), or, without a further pass over the training samples, those that they last had in
    a batch (``byproduct``); a sample that was in none since the last checkpoint has this one skipped.

    Where a node has no validation sample of a class, v is the mean over its neighbours, who send theirs (4 bytes a
    class and checkpoint, in `PART`, which tells them the classes in the validation set and how well it is learnt), or
    else over all its own validation samples. Samples without a score, seen at too few checkpoints, are kept.

    The coreset is that of `simulator.data.coreset`, by this score or a competing one from the same observations.
    Samples are looked at until it is chosen. Then, or at the end, each node saves the artifact ``scores``: ``index``
    (the samples' rows in the data set's training arrays), ``label``, ``score/NAME`` for each score (high for samples
    worth keeping according to its paper), ``points`` that the correlation is over, ``kept``, and what the report shows.
    `data.subset` starts a fresh run from it.
    """

    Config = LTCSettings
    config: LTCSettings
    neutral: ClassVar[Mapping[str, Any]] = {"use": "coreset", "after": 3, "share": 1.0}

    @classmethod
    def traits(cls, config: Any) -> Traits:
        """Unless it only reports, and tells no one, losses are sent or decide what is trained on."""
        return Traits(
            stackable=True,
            row_wise=True,
            needs=frozenset({"classes", "validation_data"}),
            losses="watches",
            beside_gradients="sends losses of private samples, and lets private samples decide which are used",
            memory=Memory() if config.use == "report" and not config.share_means else None,
        )

    @classmethod
    def check(cls, config: Any, plan: Plan) -> Iterable[Problem]:
        """There must be enough checkpoints before the choice, and rounds after it."""
        watched = config.after or plan.rounds
        if config.use != "report" and not config.after:
            what = f"{config.use} happens after so many rounds, and it is not said how many."
            yield Problem("after", what, f"Set after, for example after: {max(1, plan.rounds // 2)}.")
        elif config.after and config.after >= plan.rounds:
            what = f"the choice would be made after {watched} rounds, and the run has {plan.rounds}."
            yield Problem("after", what, f"Choose {plan.rounds - 1} at most.")
        looks = watched // config.every
        if looks < config.least:
            what = f"checkpoints in {watched} rounds: {looks}; for scores by {config.score} it takes {config.least}."
            yield Problem("every", what, "Make checkpoints more often, or watch for longer; better 20 and more.")
        if config.use == "drop" and config.score != "ltc":
            what = f"{config.score} does not tell conflicting samples from others."
            yield Problem("score", what, "Set score: ltc, or use: coreset.")

    @classmethod
    def sections(cls, config: Any, record: FinishedRun) -> Sequence[Section]:
        """How far samples agree with the validation set, how much of that is noise, and what was kept."""
        return report.sections(config, record)

    def setup(self, node: Node) -> None:
        """Nothing is seen yet."""
        validation, train = node.data.validation, node.data.train
        self._labels = train.targets_at(torch.arange(len(train))).cpu()
        self._means = ClassMeans(validation.targets_at(torch.arange(len(validation))).cpu(), node.data.classes)
        self._watch = Watch(node, self.config)
        self._losses: Tensor | None = None  # between a checkpoint and the end of its round
        self._is_done = False

    def before_round(self, node: Node) -> None:
        """Make the choice when it is due, or as soon as the node is there again."""
        if self.config.after and node.finished >= self.config.after and not self._is_done:
            self._is_done = True
            node.training_set.keep_only(self._save(node))

    def per_sample_loss(self, node: Node, batch: Batch, logits: Tensor, losses: Tensor) -> Tensor:
        """Note the logits of the batch before the step."""
        if self.config.mode == "byproduct" and not self._is_done:
            self._watch.passing.note(node.round, batch, logits)
        return losses

    def after_local_training(self, node: Node) -> None:
        """Look at the samples, at a checkpoint."""
        if self._is_done:
            return
        if node.round % self.config.every == 0:
            self._losses = self._watch.losses(node)
            self._means.look(evaluated(node, node.data.validation).loss)
        else:
            self._watch.catch_up()

    def outgoing(self, node: Node, message: Message) -> Message:
        """At a checkpoint, tell the means of the classes."""
        if self._losses is None or not self.config.share_means:
            return message
        return replace(
            message, parts={**message.parts, PART: self._means.own.to(node.parameters.device, torch.float32)}
        )

    def parts(self, node: Node, sender: int, round: int) -> Mapping[str, Declared]:
        """At a checkpoint, a loss for each class; NaN where the sender has no validation sample of it."""
        is_over = self.config.after and round > self.config.after
        if is_over or round % self.config.every or not self.config.share_means:
            return {}
        return {PART: Declared(torch.float32, (node.data.classes,), least=0, gaps=True)}

    def incoming(self, node: Node, message: Message) -> Message:
        """Hear those of a neighbour."""
        if self._losses is not None and PART in message.parts:
            self._means.hear(message.parts[PART])
        return message

    def after_mixing(self, node: Node) -> None:
        """End a checkpoint."""
        if self._losses is not None:
            self._watch.correlation.add(self._losses, self._means.values()[self._labels])
            self._losses = None

    def finalize(self, node: Node) -> None:
        """Save the scores, where that was not done before."""
        if not self._is_done:
            self._save(node)

    def _save(self, node: Node) -> Tensor:
        """int64 [K]: the places of the samples to keep."""
        scores, labels = self._watch.scores(node), self._labels.numpy()
        is_drop = self.config.use == "drop"
        kept = np.flatnonzero(~(scores["ltc"] < 0)) if is_drop else coreset(scores, labels, self.config)
        if not len(kept):
            raise RunError(
                f"in round {node.round} all samples of node {node.id} conflict with its validation set.\n"
                "    Watch for longer, with a larger validation set, or set use: coreset."
            )
        node.log("ltc/kept", len(kept) / len(labels))
        node.save(
            "scores",
            index=node.data.train.index.numpy(),
            label=labels,
            points=self._watch.correlation.count.numpy(),
            kept=np.isin(np.arange(len(labels)), kept),
            sources=self._means.sources.numpy(),
            **{f"score/{name}": values for name, values in scores.items()},
            **report.shown(scores["ltc"], node.data.train, with_images="images" in node.data.offers),
        )
        return torch.from_numpy(kept)

    def state_dict(self) -> dict[str, Tensor]:
        """What was seen, and whether the choice is made."""
        return nested(self._parts()) | {"is_done": torch.tensor(self._is_done)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from there."""
        self._is_done = bool(state["is_done"])
        load_nested(self._parts(), state)

    def _parts(self) -> Sequence[tuple[str, Stateful]]:
        return ("watch.", self._watch), ("means.", self._means)
