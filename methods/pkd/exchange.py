"""Teachers at other nodes: soft labels of the public samples, sent in the round before a teacher's turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from methods.pkd import report
from methods.pkd.schedule import PKDSettings, coming_teacher
from methods.pkd.teachers import at_other_nodes, held
from simulator.core.declaration import Declared
from simulator.core.message import Message
from simulator.core.node import Node

LABELS = "pkd.labels"
TOLERANCE = 1e-3  # for a sum of probabilities in single precision


class Exchange:
    """One node's part: it labels, sends, hears and learns within a round, and keeps nothing between rounds.

    Attributes:
        takes_place: whether there is one; where not, nothing here does anything.
    """

    def __init__(self, settings: PKDSettings, node: Node) -> None:
        self.takes_place = at_other_nodes(settings, node.data)
        self._settings = settings
        self._labels: dict[int, Tensor] = {}  # by who made them

    def label(self, node: Node) -> None:
        """Label the public samples if a turn begins after this round."""
        if self._coming(node):
            self._labels = {node.id: soft_labels(node, self._settings.temperature)}

    def outgoing(self, node: Node, message: Message) -> Message:
        """The message, with the labels of a node that will teach."""
        if not self._teaches(node):
            return message
        return replace(message, parts={**message.parts, LABELS: self._labels[node.id]})

    def parts(self, node: Node, sender: int, round: int) -> Mapping[str, Declared]:
        """A label for every public sample, of a node that will teach, in the round before."""
        coming = coming_teacher(self._settings, round, node.rounds) if self.takes_place else None
        if coming is None or coming != node.data.modalities[sender]:
            return {}
        assert node.data.public is not None  # `teachers.require` saw to it
        return {LABELS: Declared(node.parameters.dtype, (len(node.data.public), node.data.classes), least=0, most=1)}

    def objection(self, message: Message) -> str | None:
        """Probabilities sum to 1."""
        off = (message.parts[LABELS].sum(dim=1) - 1).abs() if LABELS in message.parts else torch.zeros(1)
        return None if bool((off < TOLERANCE).all()) else "holds labels that do not sum to 1"

    def hear(self, message: Message) -> None:
        """Keep a teacher's labels."""
        if LABELS in message.parts:
            self._labels[message.sender] = message.parts[LABELS]

    def learn(self, node: Node) -> None:
        """From the next round on, train on what the teachers said; without any, on what the node itself says."""
        if not self._coming(node):
            return
        heard = {sender: labels for sender, labels in self._labels.items() if sender != node.id}
        node.log(report.TEACHERS, len(heard))
        _train_on(node, mean_labels(self._labels if self._teaches(node) or not heard else heard))
        self._labels = {}

    def _coming(self, node: Node) -> str | None:
        return coming_teacher(self._settings, node.round, node.rounds) if self.takes_place else None

    def _teaches(self, node: Node) -> bool:
        return self._coming(node) in held(node.data)


def soft_labels(node: Node, temperature: float) -> Tensor:
    """float [P, classes]: softmax(z / temperature), z the logits of the node's final classifier on public samples."""
    assert node.data.public is not None  # `teachers.require` saw to it
    return (node.outputs(node.data.public) / temperature).softmax(dim=1)


def mean_labels(tables: Mapping[int, Tensor]) -> Tensor:
    """float [P, classes]: the mean of ``tables``, one a teacher, summed in order of node id."""
    return torch.stack([tables[node] for node in sorted(tables)]).mean(dim=0)


def _train_on(node: Node, labels: Tensor) -> None:
    """On all public samples, and on no private ones."""
    node.training_set.set_public(torch.arange(len(labels)), labels)
    node.training_set.keep_only(torch.empty(0, dtype=torch.int64))
