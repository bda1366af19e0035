"""Attackers: each estimates the class shares of every node's training set from another part of one round's messages.

``attacker(scene)`` gives float64 [nodes, classes], rows sum to 1; rows of NaN where it has nothing to go by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auditing.finite import check_finite
from auditing.networks import last_bias
from auditing.views.record import Record, Stored
from simulator.core.errors import wrong
from simulator.core.flat_module import FlatModule
from simulator.core.node import Node
from simulator.core.soft_labels import SoftLabels

Shares = NDArray[np.float64]


@dataclass(frozen=True)
class RecordedRound:
    """What there is to see in a recorded round.

    Attributes:
        record: of the run.
        round: the recorded one.
        nodes: the victims; attackers know of them their number, the public set, and how images are normalised.
        network: an instance of theirs.
        told: by node, how its message says that it labels public samples.
    """

    record: Record
    round: int
    nodes: list[Node]
    network: FlatModule
    told: Mapping[int, SoftLabels]

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return self.nodes[0].data.classes

    def sent(self, node: Node) -> Tensor | None:
        """The model that the node's first receiver is shown, float64 [parameters]; None where there is none."""
        receivers = self.record.receivers(self.round, node.id)
        stored = self.record.message(self.round, node.id, receivers[0]) if receivers else None
        return self.finite(stored, node) if stored else None

    def finite(self, stored: Stored, node: Node) -> Tensor:
        """A kept model, float64 [parameters].

        Raises:
            InputError: it is not finite, so nothing can be told from it.
        """
        model = self.record.load(stored)
        if not model.isfinite().all():
            what = f"the model in the {stored.kind} of node {node.id} in round {self.round} is not finite."
            raise wrong("rounds", what, "Choose rounds before the run diverged, for example rounds=[1].")
        return model

    def outputs(self, model: Tensor, node: Node) -> Shares:
        """The mean softmax, float64 [classes], of a model (float64 [parameters]) on the public set."""
        assert node.data.public is not None  # the audit saw to it
        self.network.bind(model.to(self.network.dtype).contiguous())
        logits = self.network.outputs(node.data.public, node.data.preparation).double()
        check_finite(logits.numpy(), "logits", node.data.public, f"in round {self.round}, sent by {node.id}")
        mean: Shares = logits.softmax(1).mean(0).numpy()
        return mean

    def estimates(self) -> dict[str, Shares]:
        """The estimate of each attacker, by name."""
        return {name: attacker.estimate(self) for name, attacker in ATTACKERS.items()}

    def each(self, estimate: Callable[[Node], Shares | None]) -> Shares:
        """``estimate`` for each node in turn; NaN where it is None."""
        unknown = np.full(self.classes, np.nan)
        found = (estimate(node) for node in self.nodes)
        return np.stack([unknown if shares is None else shares for shares in found])


def nothing(scene: RecordedRound) -> Shares:
    """Takes all classes to have equal shares."""
    return np.full((len(scene.nodes), scene.classes), 1 / scene.classes)


def mean_model(scene: RecordedRound) -> Shares:
    """Takes all nodes to have the shares that the mean of their models gives the public set."""
    models = [model for node in scene.nodes if (model := scene.sent(node)) is not None]
    if not models:
        return np.full((len(scene.nodes), scene.classes), np.nan)
    shares = scene.outputs(torch.stack(models).mean(0), scene.nodes[0])
    return np.tile(shares, (len(scene.nodes), 1))


def model(scene: RecordedRound) -> Shares:
    """What the model in the node's message says of the public set: a node leans towards the classes that it holds."""

    def estimate(node: Node) -> Shares | None:
        sent = scene.sent(node)
        return None if sent is None else scene.outputs(sent, node)

    return scene.each(estimate)


def update(scene: RecordedRound) -> Shares:
    """How local training moved the biases of the last layer, from the least moved one upwards.

    The gradient of a bias is the mean over samples of softmax minus label, so it falls for a class that a node has many
    samples of (after Wainakh et al. 2022, arXiv:2105.09369). Needs the model that the node started the round from.
    """
    place = last_bias(scene.network, scene.classes)

    def estimate(node: Node) -> Shares | None:
        sent = scene.sent(node)
        if sent is None or place is None:
            return None
        start = scene.finite(Stored("start", node.id, scene.round), node)
        moved: Shares = scene.network.named_views(sent - start)[place].numpy()
        grown = moved - moved.min()
        return grown / grown.sum() if grown.sum() > 0 else None

    return scene.each(estimate)


def labels(scene: RecordedRound) -> Shares:
    """The mean of the labels in the node's message: its detector let pass what looks like its own data."""

    def estimate(node: Node) -> Shares | None:
        told = scene.told.get(node.id)
        if told is None or len(told.labels) == 0:
            return None
        mean: Shares = told.labels.double().mean(0).numpy()
        return mean

    return scene.each(estimate)


def compared_labels(scene: RecordedRound) -> Shares:
    """As `labels`, with each class relative to its count in the labels of all nodes, which takes out the public set's.

    Counts are sums of labels, float64 [classes] a node.
    """
    counts = {node: told.labels.double().sum(0).numpy() for node, told in scene.told.items() if len(told.labels)}
    total = np.sum([*counts.values()], axis=0)

    def estimate(node: Node) -> Shares | None:
        if node.id not in counts:
            return None
        relative = counts[node.id] / np.maximum(total, np.finfo(np.float64).tiny)
        shares: Shares = relative / relative.sum()
        return shares

    return scene.each(estimate)


def histogram(scene: RecordedRound) -> Shares:
    """The number of private samples of each class that the message names."""

    def estimate(node: Node) -> Shares | None:
        told = scene.told.get(node.id)
        if told is None or told.histogram is None:
            return None
        counts: Shares = told.histogram.double().numpy()
        shares: Shares = counts / counts.sum()
        return shares

    return scene.each(estimate)


class Attacker(NamedTuple):
    """An attacker, and what it needs to know."""

    estimate: Callable[[RecordedRound], Shares]
    knows: str


ATTACKERS: Mapping[str, Attacker] = {
    "nothing": Attacker(nothing, "no message"),
    "mean model": Attacker(mean_model, "the mean of all models, and the public set"),
    "model": Attacker(model, "the model in the node's message, and the public set"),
    "update": Attacker(update, "the model in the node's message, and the one that it began the round with"),
    "labels": Attacker(labels, "the node's labels of public samples, not its model"),
    "compared labels": Attacker(compared_labels, "the labels of all nodes"),
    "histogram": Attacker(histogram, "the class histogram in the node's message"),
}
