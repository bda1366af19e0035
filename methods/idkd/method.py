"""In-distribution knowledge distillation (Ravikumar et al. 2024, arXiv:2304.04326): the method itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Any, ClassVar

import torch
from torch import Tensor

from methods.idkd import measures, report, schedule, wire
from methods.idkd.detectors import DETECTORS, Scored, Scorer
from methods.idkd.flood import Flood
from methods.idkd.labels import soft_labels
from methods.idkd.merge import MERGES
from methods.idkd.settings import IDKDSettings
from methods.idkd.thresholds import Calibration, choose, roc
from simulator.core.declaration import Declared
from simulator.core.errors import Problem, diverged, wrong
from simulator.core.message import Message
from simulator.core.method import Method
from simulator.core.node import Node
from simulator.core.plan import Plan
from simulator.core.report import FinishedRun, Section
from simulator.core.soft_labels import SoftLabels
from simulator.core.traits import Traits


class IDKD(Method):
    """Nodes teach each other on the public samples that look like their own data.

    An exchange begins in round ``first_round``, and then every ``every`` rounds. After local training each node

    1. scores the public set with its ``detector``: by default the confidence max_c softmax(logits / temperature)_c,
    2. takes as ``threshold`` the score that best separates its private validation samples from the public set (Youden's
       J, ``youden``), the one that the share ``tpr`` of its validation samples exceeds (``tpr``), or a given number,
    3. labels the public samples above it with softmax(logits / temperature) and sends the labels to its neighbours,
    4. forwards in the next ``hops`` - 1 rounds what it heard in the round before, each node's labels once,
    5. makes one label a sample of all that it now holds, its own included (``merge``),
    6. trains on its private data and these samples together, with soft cross-entropy, until the next exchange ends.

    Labels carry their maker, so on any graph each is counted once however many ways it came, and after h hops a node
    holds the labels of exactly the nodes within h links; with as many hops as the graph's diameter those of all nodes.
    Labels lost on a link are not sent again; a node that is away at the end of an exchange keeps what it trained on.

    With ``threshold: none`` all nodes label the whole public set, which is vanilla distillation; together with as many
    hops as the diameter, nodes distil the ensemble of all of them. One node alone is the centralized baseline. A
    threshold that no score exceeds labels nothing and leaves training as it was, bit for bit.

    The released code does otherwise where the paper's text does not: ``threshold: 0.98``, ``merge: official``,
    ``labels: forwarded`` (in exchanges after its first, a node sends the merged labels that it trains on) and ``steps:
    growing`` together are its rules. What the messages reveal is listed in `methods.idkd.report.DISCLOSURES`:
    in short, which public samples a node takes for its own kind (so which classes it holds), its model's outputs on
    them to all nodes within ``hops`` links, and under ``merge: official`` how many private samples of each class it
    has, exactly.
    """

    Config = IDKDSettings
    config: IDKDSettings
    neutral: ClassVar[Mapping[str, Any]] = {"first_round": 1, "every": 1, "threshold": 1.1}

    @classmethod
    def traits(cls, config: Any) -> Traits:
        """Labels are sent and trained on, of which there is no linear account."""
        calibrated = config.threshold in ("youden", "tpr")
        return Traits(
            stackable=True,
            needs=frozenset({"classes", "public_data"} | ({"validation_data"} if calibrated else set())),
            changes_steps=config.steps == "growing",
            beside_gradients="sends labels of public samples that its private validation samples have selected, by a "
            "detector that may also look at its training samples",
        )

    @classmethod
    def check(cls, config: Any, plan: Plan) -> Iterable[Problem]:
        """Exchanges must begin within the run, end within it, and not overlap."""
        return schedule.problems(config, plan)

    @classmethod
    def sections(cls, config: Any, record: FinishedRun) -> Sequence[Section]:
        """Who labelled what in the last exchange, how much of it was right, and what the messages reveal."""
        return report.sections(config, record)

    @classmethod
    def labels_told(cls, config: Any, parts: Mapping[str, Tensor], sender: int, classes: int) -> SoftLabels | None:
        """The sender's own table, where it is part of the message."""
        own = wire.split(parts, sender).get(sender)
        return wire.decode(own, classes) if own else None

    def setup(self, node: Node) -> None:
        """Nothing is labelled yet.

        Raises:
            InputError: ``top_k`` is more than there are classes.
        """
        if self.config.top_k is not None and self.config.top_k > node.data.classes:
            what = f"{self.config.top_k} probabilities of {node.data.classes} classes are asked for."
            raise wrong("idkd.top_k", what, f"Ask for {node.data.classes} at most, or leave top_k out for all.")
        self._flood = Flood()

    def before_round(self, node: Node) -> None:
        """Under ``steps: growing``, pass over as large a share of the samples as before."""
        if self.config.steps == "growing":
            node.local_steps = -(-node.local_steps * len(node.training_set) // len(node.data.train))

    def after_local_training(self, node: Node) -> None:
        """Label the public set in the first round of an exchange."""
        hop = schedule.hop(self.config, node.round)
        if hop is None:
            return
        if self._flood.begun != node.round - hop:  # even a node that was away when the last one ended starts afresh
            self._flood = Flood(node.round - hop)
        if hop == 0:
            own = self._forward(node) if self._forwards(node) else self._label(node)
            if len(own.positions):
                self._flood.add(node.id, wire.encode(own, self.config))

    def outgoing(self, node: Node, message: Message) -> Message:
        """Send what is new, but not to who sent it; `wire` says in which parts."""
        if schedule.hop(self.config, node.round) is None:
            return message
        parts = self._flood.parts_for(message.receiver, message.sender)
        return replace(message, parts={**message.parts, **parts})

    def parts(self, node: Node, sender: int, round: int) -> Mapping[str, Declared]:
        """During an exchange, tables; the first round has the senders' own only."""
        hop = schedule.hop(self.config, round)
        if hop is None:
            return {}
        assert node.data.public is not None  # checked before the run: this method needs public data
        tables = 1 if hop == 0 else node.num_nodes
        return wire.declared(self.config, len(node.data.public), node.data.classes, tables)

    def objection(self, node: Node, message: Message) -> str | None:
        """Tables are whole, and nobody's but their maker's."""
        said = wire.objection(message.parts, self.config)
        if said is None and node.id in wire.split(message.parts, message.sender).keys() - self._flood.tables.keys():
            return "holds labels in the name of this node, which has made none"
        return said

    def incoming(self, node: Node, message: Message) -> Message:
        """Keep what a neighbour sent."""
        self._flood.hear(message.sender, message.parts)
        return message

    def after_mixing(self, node: Node) -> None:
        """At the end of an exchange, merge the labels and train on them from now on."""
        hop = schedule.hop(self.config, node.round)
        if hop is None:
            return
        self._flood.end_round()
        if hop == self.config.hops - 1:
            self._learn(node)
            self._flood = Flood()

    def _forwards(self, node: Node) -> bool:
        return self.config.labels == "forwarded" and len(node.training_set.public_positions) > 0

    def _forward(self, node: Node) -> SoftLabels:
        """The labels that the node trains on."""
        learnt = node.training_set
        return SoftLabels(learnt.public_positions, learnt.public_targets.cpu(), self._told_histogram(node))

    def _told_histogram(self, node: Node) -> Tensor | None:
        return _histogram(node) if self.config.merge == "official" else None

    def _label(self, node: Node) -> SoftLabels:
        assert node.data.public is not None  # checked before the run: this method needs public data
        scorer = DETECTORS[self.config.detector](node, self.config)
        public = _finite(scorer(node.data.public), node)
        threshold = choose(self.config, self._calibrate(node, scorer, public))
        positions = (public.scores > threshold).nonzero().squeeze(1)
        if self.config.cap is not None:
            best = public.scores[positions].argsort(descending=True, stable=True)[: self.config.cap]
            positions = positions[best].sort().values
        if threshold > -inf:  # otherwise there is none
            node.log("idkd/threshold", threshold)
        node.log("idkd/labelled", len(positions))
        labels = soft_labels(public.logits[positions], self.config.temperature)
        return SoftLabels(positions, labels, self._told_histogram(node))

    def _calibrate(self, node: Node, scorer: Scorer, public: Scored) -> Calibration | None:
        """Scores of validation samples against public ones, and the record of their ROC; None without validation."""
        if len(node.data.validation) == 0:
            return None
        private = _finite(scorer(node.data.validation), node)
        rng = node.rng("idkd.calibration")
        calibration = Calibration.draw(private.scores.numpy(), public.scores.numpy(), rng)
        area, false_rate, true_rate = roc(calibration)
        node.log("idkd/detector_auc", area)
        node.save("idkd_detector", false_rate=false_rate, true_rate=true_rate)
        return calibration

    def _learn(self, node: Node) -> None:
        assert node.data.public is not None  # checked before the run: this method needs public data
        num_public, classes = len(node.data.public), node.data.classes
        tables = {origin: wire.decode(table, classes) for origin, table in sorted(self._flood.tables.items())}
        merged = MERGES[self.config.merge]([*tables.values()], num_public, classes)
        node.training_set.set_public(merged.positions, merged.labels)
        before = _histogram(node)
        after = before + merged.labels.sum(dim=0)
        node.log("idkd/trained_on", len(merged.positions))
        agreed = measures.agreement([*tables.values()], num_public, classes)
        if agreed is not None:
            node.log("idkd/agreement", agreed)
        node.log("idkd/tv_before", measures.distance_to_uniform(before))
        node.log("idkd/tv_after", measures.distance_to_uniform(after))
        own = tables[node.id].positions if node.id in tables else merged.positions[:0]
        node.save(
            "idkd",
            labelled=own.numpy(),
            trained_on=merged.positions.numpy(),
            trained_as=merged.labels.argmax(dim=1).numpy(),
            classes_before=before.numpy(),
            classes_after=after.numpy(),
        )

    def state_dict(self) -> dict[str, Tensor]:
        """The exchange that is under way."""
        return self._flood.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on with the exchange."""
        self._flood = Flood.restored({name: part.cpu() for name, part in state.items()})


def _histogram(node: Node) -> Tensor:
    train = node.data.train
    return measures.class_histogram(train.targets_at(torch.arange(len(train))).cpu(), node.data.classes)


def _finite(scored: Scored, node: Node) -> Scored:
    if not scored.scores.isfinite().all():
        raise diverged(node.id, node.round, "scores")
    return scored
