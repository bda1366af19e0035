"""The results of a run in a few numbers and sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

from simulator.results.formatting import megabytes, percent, significant
from simulator.results.report.ledger import TrafficCount
from simulator.results.run_directory import RunDirectory


@dataclass(frozen=True)
class Summary:
    """What a run came to.

    Attributes:
        rounds: rounds it was to have.
        round: finished rounds at the last evaluation.
        measured: the network's metrics at the last evaluation; what was not measured is NaN.
        ended_early: why it has fewer rounds, if a node asked for that; or else empty.
        bytes_sent: algorithmic bytes of all messages.
        bytes_a_round: of these, what a node sent in a round, on average.
        node_steps_a_second: local steps of all nodes together in a second of training, without evaluations.
    """

    status: str
    nodes: int
    rounds: int
    round: int
    measured: Mapping[str, float]
    ended_early: str
    bytes_sent: int
    bytes_a_round: float
    node_steps_a_second: float

    @classmethod
    def of(cls, run: RunDirectory, ledger: TrafficCount, provenance: Mapping[str, Any]) -> Summary:
        """Sum up ``run``."""
        network = [metric for metric in run.metrics() if metric.node is None]
        last = max((metric.round for metric in network), default=0)
        timing, nodes = run.timing(), run.topology.num_nodes
        seconds, steps = (sum(line[key] for line in timing) for key in ("seconds", "node_steps"))
        return cls(
            status=provenance["status"],
            nodes=nodes,
            rounds=run.experiment["rounds"],
            round=last,
            measured={metric.name: metric.value for metric in network if metric.round == last},
            ended_early=provenance.get("ended_early", ""),
            bytes_sent=ledger.total,
            bytes_a_round=ledger.total / (nodes * ledger.rounds) if ledger.rounds else 0.0,
            node_steps_a_second=steps / seconds if steps and seconds else nan,
        )

    def value(self, name: str) -> float:
        """The network's metric ``name`` at the last evaluation."""
        return self.measured.get(name, nan)

    def sentences(self) -> Iterator[str]:
        """The verdict: how it ended, how good the models are, what was sent."""
        if self.status != "finished":
            yield f"This run is not complete ({self.status}): last measured after {self.round} of {self.rounds} rounds."
        if self.ended_early:
            yield f"This run ended early, after {self.round} of {self.rounds} rounds: {self.ended_early}"
        mean, worst, best, consensus = (self.value(name) for name in ACCURACIES)
        if isfinite(mean):
            yield (
                f"After {self.round} rounds the {self.nodes} nodes have a test accuracy of {percent(mean)} on average "
                f"[worst {percent(worst)}, best {percent(best)}]."
                if self.nodes > 1
                else f"After {self.round} rounds the only node has a test accuracy of {percent(mean)}."
            )
        if isfinite(majority := self.value(MAJORITY)):
            yield f"Always answering the most common class would have an accuracy of {percent(majority)}."
        if isfinite(consensus) and self.nodes > 1:
            gap = _gap(consensus - mean)
            yield f"The consensus model, the average of all nodes, has {percent(consensus)}: {gap} the nodes' mean."
        yield (
            f"The nodes sent {megabytes(self.bytes_sent)} in total, {megabytes(self.bytes_a_round)} per node and round."
            if self.bytes_sent
            else "No messages were sent."
        )

    def tiles(self) -> Iterator[tuple[str, str]]:
        """Key figures, by what they are."""
        mean, worst, best, consensus = (self.value(name) for name in ACCURACIES)
        yield "mean accuracy", percent(mean)
        yield "worst node", percent(worst)
        yield "best node", percent(best)
        yield "consensus model", percent(consensus)
        yield "majority class", percent(self.value(MAJORITY))
        yield "consensus distance", significant(self.value("consensus/distance"), 3)
        yield "sent in total", megabytes(self.bytes_sent)
        yield "node-steps / s", significant(self.node_steps_a_second, 3)


ACCURACIES = ("test/accuracy/mean", "test/accuracy/worst", "test/accuracy/best", "consensus/test/accuracy")

MAJORITY = "test/majority"


def _gap(difference: float) -> str:
    points = abs(100 * difference)
    if round(points, 1) == 0:
        return "equal to"
    return f"{points:.1f} percentage points {'above' if difference > 0 else 'below'}"
