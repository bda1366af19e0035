"""Labels of public samples as they stand in what a run has recorded of its nodes' messages."""

from __future__ import annotations

from dataclasses import dataclass

from auditing.finite import check_finite
from simulator.core.method import Method
from simulator.core.node import Node
from simulator.core.soft_labels import SoftLabels
from simulator.results.recordings import Recordings


@dataclass(frozen=True)
class PublicLabels:
    """Reads them.

    Attributes:
        recordings: what the nodes kept.
        node: any of the run's: its methods know how labels travel, and all nodes have its public set.
    """

    recordings: Recordings
    node: Node

    @property
    def rounds(self) -> tuple[int, ...]:
        """The rounds, ascending and recorded or not, in which messages may hold labels."""
        telling = [method for method in self.node.methods if _tells(type(method))]
        senders = self.node.receivers[:1]
        return tuple(
            round
            for round in range(1, self.node.rounds + 1)
            if any(method.parts(self.node, sender, round) for method in telling for sender in senders)
        )

    def told(self, round: int, sender: int) -> SoftLabels | None:
        """How ``sender`` labels public samples, by the message that its first receiver got; None where it does not.

        Raises:
            InputError: labels are not finite, or the recording is damaged.
        """
        receivers: list[int] = self.recordings.load(round, sender, "receivers").tolist()
        parts = self.recordings.parts(round, sender, receivers[0]) if receivers else {}
        data, methods = self.node.data, self.node.methods
        each = (type(method).labels_told(method.config, parts, sender, data.classes) for method in methods)
        found = next((labels for labels in each if labels is not None), None)
        if found is not None:
            assert data.public is not None  # whose samples are labelled
            whose = f"of node {sender} in round {round}"
            check_finite(found.labels.numpy(), "labels", data.public.subset(found.positions), whose)
        return found


def _tells(method: type[Method]) -> bool:
    """Whether messages of ``method`` may hold labels: then it says how to read them."""
    return method.labels_told.__func__ is not Method.labels_told.__func__  # type: ignore[attr-defined]
