"""In-distribution knowledge distillation (Ravikumar et al. 2024, arXiv:2304.04326)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, NonNegativeFloat, PositiveInt
from sklearn.metrics import roc_auc_score, roc_curve
from torch import Tensor

from simulator.core.errors import Problem
from simulator.core.message import Message
from simulator.core.method import Method
from simulator.core.node import Node
from simulator.core.plan import Plan
from simulator.core.registry import PartSettings
from simulator.core.report import BarChart, RunRecord, Section, Table

POSITIONS, LABELS = "idkd.positions", "idkd.labels"


@dataclass(frozen=True)
class SoftLabels:
    """Labelled public samples.

    Attributes:
        positions: int64 [M], ascending places in the public set.
        labels: float [M, classes], rows sum to 1.
    """

    positions: Tensor
    labels: Tensor


class IDKD(Method):
    """Neighbours teach each other on the public samples that look like their own data.

    In round ``start_round``, and then every ``every`` rounds, after local training each node

    1. scores the public set by its confidence max_c softmax(logits / temperature)_c,
    2. takes as threshold the confidence that best separates its private validation samples from the public set
       (Youden's J, ``youden``), or a given number,
    3. labels the public samples above it and sends these soft labels to its neighbours,
    4. averages, sample by sample, the labels of those who sent one (itself included),
    5. trains on its private data and these samples together, with soft cross-entropy, until the next exchange.

    Unlike the released code, labels are averaged over their senders (the code picks one by the senders' private class
    histograms, which it broadcasts) and are made anew at each exchange. A threshold of 1 or more labels nothing and
    leaves training as it was, bit for bit.
    """

    class Config(PartSettings):
        """Settings of `IDKD`."""

        name: str = "idkd"
        start_round: int = Field(ge=0)
        every: PositiveInt | None = None
        threshold: Literal["youden"] | NonNegativeFloat = "youden"
        temperature: float = Field(1.0, gt=0)

    config: Config
    neutral: ClassVar[Mapping[str, Any]] = {"start_round": 1, "every": 1, "threshold": 1.1}

    @classmethod
    def needs(cls, config: Any) -> frozenset[str]:
        """A public set; and validation data to calibrate on."""
        return frozenset({"public_data", "validation_data"} if config.threshold == "youden" else {"public_data"})

    @classmethod
    def check(cls, config: Any, plan: Plan) -> Iterable[Problem]:
        """The first exchange must lie within the run."""
        if config.start_round >= plan.rounds:
            yield Problem(
                "start_round",
                f"the first exchange would be in round {config.start_round} (from 0), and the run has {plan.rounds}.",
                f"Choose a start_round below {plan.rounds}, or more rounds.",
            )

    def setup(self, node: Node) -> None:
        """Nothing is labelled yet."""
        self._own: SoftLabels | None = None
        self._received: dict[int, SoftLabels] = {}

    def after_local_training(self, node: Node) -> None:
        """Label the public set in the rounds of an exchange."""
        since = node.round - self.config.start_round
        due = since == 0 or (since > 0 and self.config.every is not None and since % self.config.every == 0)
        self._own = self._label(node) if due else None

    def outgoing(self, node: Node, message: Message) -> Message:
        """Send positions (4 bytes each) and dense soft labels (4 bytes a class) along."""
        if self._own is None or len(self._own.positions) == 0:
            return message
        parts = {POSITIONS: self._own.positions.to(torch.int32), LABELS: self._own.labels.to(torch.float32)}
        return Message(message.sender, message.receiver, message.round, {**message.parts, **parts})

    def incoming(self, node: Node, message: Message) -> Message:
        """Keep the labels of a neighbour."""
        if POSITIONS in message.parts:
            self._received[message.sender] = SoftLabels(message.parts[POSITIONS].long(), message.parts[LABELS])
        return message

    def after_mixing(self, node: Node) -> None:
        """Merge the labels and train on them from now on."""
        if self._own is None:
            return
        tables = self._received | {node.id: SoftLabels(self._own.positions, self._own.labels.to(torch.float32))}
        assert node.data.public is not None  # checked before the run: this method needs public data
        merged = average([tables[sender] for sender in sorted(tables)], len(node.data.public), node.data.classes)
        node.training_set.set_public(merged.positions, merged.labels)
        node.log("idkd/trained_on", len(merged.positions))
        node.save(
            "idkd",
            labelled=self._own.positions.numpy(),
            trained_on=merged.positions.numpy(),
            trained_as=merged.labels.argmax(dim=1).numpy(),
        )
        self._own, self._received = None, {}

    def _label(self, node: Node) -> SoftLabels:
        assert node.data.public is not None  # checked before the run: this method needs public data
        labels = soft_labels(node.logits(node.data.public), self.config.temperature)
        confidence = labels.amax(dim=1)
        threshold = self.config.threshold
        if threshold == "youden":
            threshold = self._calibrate(node, confidence.numpy())
        positions = (confidence > threshold).nonzero().squeeze(1)
        node.log("idkd/threshold", threshold)
        node.log("idkd/labelled", len(positions))
        return SoftLabels(positions, labels[positions])

    def _calibrate(self, node: Node, public: np.ndarray[Any, Any]) -> float:
        private = soft_labels(node.logits(node.data.validation), self.config.temperature).amax(dim=1).numpy()
        rng, size = node.rng("idkd.calibration"), min(len(private), len(public))
        inside, outside = (rng.choice(scores, size, replace=False) for scores in (private, public))
        node.log("idkd/detector_auc", roc_auc_score(np.repeat([1, 0], size), np.concatenate([inside, outside])))
        return youden_threshold(inside, outside)

    @classmethod
    def sections(cls, config: Any, record: RunRecord) -> Sequence[Section]:
        """Who labelled what in the last exchange, and how much of it was truly in distribution."""
        artifacts = record.artifacts("idkd")
        if not artifacts:
            return ()
        last = max(artifact.round for artifact in artifacts)
        partition = record.partition()
        thresholds = {m.node: m.value for m in record.metrics() if m.name == "idkd/threshold" and m.round == last}
        rows = [
            _row(artifact.node, thresholds[artifact.node], artifact.arrays, partition)
            for artifact in artifacts
            if artifact.round == last
        ]
        return [_section(rows, last, partition)]


def soft_labels(logits: Tensor, temperature: float) -> Tensor:
    """float64 [N, classes]: softmax(logits / temperature); double precision, since confidences crowd just below 1."""
    return (logits.double() / temperature).softmax(dim=1)


def youden_threshold(inside: np.ndarray[Any, Any], outside: np.ndarray[Any, Any]) -> float:
    """The t that maximises P(inside > t) - P(outside > t), Youden's J; infinite where no t does better than none.

    Args:
        inside: float [N], scores of samples known to be in distribution.
        outside: float [M], scores of samples taken to be out of distribution.
    """
    truth = np.repeat([1, 0], [len(inside), len(outside)])
    false_rate, true_rate, thresholds = roc_curve(truth, np.concatenate([inside, outside]), drop_intermediate=False)
    best = thresholds[np.argmax(true_rate - false_rate)]
    return float(np.nextafter(best, -np.inf)) if np.isfinite(best) else float("inf")  # roc_curve has >=, we have >


def average(tables: Sequence[SoftLabels], num_public: int, classes: int) -> SoftLabels:
    """For each sample that anyone labelled, the mean label of those who did, summed in the order given."""
    total = torch.zeros(num_public, classes, dtype=torch.float64)
    count = torch.zeros(num_public, dtype=torch.float64)
    for table in tables:
        total.index_add_(0, table.positions, table.labels.double())
        count.index_add_(0, table.positions, torch.ones(len(table.positions), dtype=torch.float64))
    positions = count.nonzero().squeeze(1)
    return SoftLabels(positions, total[positions] / count[positions, None])


Row = tuple[int, float, int, float, int, float, float]


def _row(node: int, threshold: float, arrays: Mapping[str, Any], partition: Mapping[str, Any]) -> Row:
    inside, truth = partition["public_in_distribution"], partition["public_labels"]
    labelled, trained_on = arrays["labelled"], arrays["trained_on"]
    known = truth[trained_on] >= 0
    return (
        node,
        threshold,
        len(labelled),
        _share(inside[labelled]),
        len(trained_on),
        _share(inside[trained_on]),
        _share(arrays["trained_as"][known] == truth[trained_on][known]),
    )


def _share(mask: np.ndarray[Any, Any]) -> float:
    return float(mask.mean()) if len(mask) else float("nan")


def _section(rows: list[Row], round: int, partition: Mapping[str, Any]) -> Section:
    inside = partition["public_in_distribution"]
    base, labelled = float(inside.mean()), sum(row[2] for row in rows)
    precision = sum(row[2] * row[3] for row in rows if row[2]) / labelled if labelled else float("nan")
    mixed = 0 < base < 1  # otherwise there is nothing for the detector to tell apart
    verdict = f"IDKD: nodes labelled {labelled / len(rows):.0f} of {len(inside)} public samples each (mean)"
    if mixed and labelled:
        verdict += (
            f"; {precision:.1%} of these are truly in distribution, against {base:.1%} if everything were labelled"
        )
    header = ("node", "threshold", "labelled", "in distribution", "trained on", "in distribution", "label accuracy")
    nodes = [str(row[0]) for row in rows]
    chart = BarChart(
        f"Public samples labelled by each node in round {round}",
        nodes,
        {
            "in distribution": [row[2] * row[3] if row[2] else 0.0 for row in rows],
            "out of distribution": [row[2] * (1 - row[3]) if row[2] else 0.0 for row in rows],
        },
        "samples",
    )
    return Section(
        "In-distribution knowledge distillation",
        (
            f"The last exchange was in round {round}. Each node labelled the public samples it was confident about and "
            "trained on the average of its own and its neighbours' labels. Whether a sample truly comes from the "
            "private distribution, and its true class, are known to this report only, never to a node.",
        ),
        f"{verdict}.",
        (Table(header, rows),),
        (chart,) if mixed else (),
    )
