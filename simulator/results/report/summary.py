"""The results of a run in a few numbers and sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

from simulator.results.formatting import megabytes, percent, significant
from simulator.results.headline import Headline
from simulator.results.report.ledger import TrafficCount
from simulator.results.run_directory import RunDirectory


@dataclass(frozen=True)
class Summary:
    """What a run came to.

    Attributes:
        nodes: that are known, which leaves out those that were not collected.
        honest: how many of them the scores speak of.
        tested: how many of these were tested: all, or a sample.
        own_tests: whether each was tested on samples of its own alone, and the consensus model on all of these.
        rounds: rounds it was to have.
        round: finished rounds at the last evaluation.
        headline: the score of the task.
        measured: the network's metrics at the last evaluation; what was not measured is NaN.
        ended_early: why it has fewer rounds, if a node asked for that; or else empty.
        bytes_sent: algorithmic bytes of all messages.
        bytes_a_round: of these, what a node sent in a round, on average.
        node_steps_a_second: local steps of all nodes together in a second of training, without evaluations.
    """

    status: str
    nodes: int
    honest: int
    tested: int
    own_tests: bool
    rounds: int
    round: int
    headline: Headline
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
        timing, nodes = run.timing(), run.topology.num_nodes - len(run.not_collected)
        seconds, steps = (sum(line[key] for line in timing) for key in ("seconds", "node_steps"))
        honest = nodes - len(run.attackers)
        return cls(
            status=provenance["status"],
            nodes=nodes,
            honest=honest,
            tested=(run.experiment.get("evaluate") or {}).get("tested_nodes") or honest,
            own_tests=(run.experiment.get("data") or {}).get("test") == "own",
            rounds=run.experiment["rounds"],
            round=last,
            headline=run.headline,
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
        mean, worst, best, consensus = self._scores()
        text, words = self.headline.text, self.headline.words
        if isfinite(mean):
            who = f"{self.nodes} nodes" if self.honest == self.nodes else f"{self.honest} honest nodes"
            if self.tested < self.honest:
                who = f"{self.tested} tested ones of {self.nodes:,} nodes"
            error = self.value(f"{self.headline.mean.removesuffix('/mean')}/standard_error")
            within = f" (standard error of that as the mean of all: {text(error)})" if isfinite(error) else ""
            own = ", each on test samples of its own" if self.own_tests else ""
            yield (
                f"After {self.round} rounds the {who} have a test {words} of {text(mean)} on average{within} "
                f"[worst {text(worst)}, best {text(best)}]{own}."
                if self.honest > 1
                else f"After {self.round} rounds the only node has a test {words} of {text(mean)}."
            )
        if isfinite(majority := self.value(MAJORITY)):
            yield f"Always answering the most common class would have an accuracy of {percent(majority)}."
        if isfinite(consensus) and self.nodes > 1:
            gap = _gap(self.headline, consensus - mean)
            on = " on the test samples of all together" if self.own_tests else ""
            yield f"The consensus model, the average of all nodes, has {text(consensus)}{on}: {gap} the nodes' mean."
        yield (
            f"The nodes sent {megabytes(self.bytes_sent)} in total, {megabytes(self.bytes_a_round)} per node and round."
            if self.bytes_sent
            else "No messages were sent."
        )

    def tiles(self) -> Iterator[tuple[str, str]]:
        """Key figures, by what they are."""
        mean, worst, best, consensus = map(self.headline.text, self._scores())
        yield f"mean {self.headline.words}", mean
        among = f" of {self.tested} tested" if self.tested < self.honest else ""
        yield f"worst node{among}", worst
        yield f"best node{among}", best
        yield "consensus model", consensus
        if isfinite(self.value(MAJORITY)) or self.headline == Headline():
            yield "majority class", percent(self.value(MAJORITY))
        yield "consensus distance", significant(self.value("consensus/distance"), 3)
        yield "sent in total", megabytes(self.bytes_sent)
        yield "node-steps / s", significant(self.node_steps_a_second, 3)

    def _scores(self) -> Iterator[float]:
        """The headline's mean, worst and best over nodes, and the consensus model's."""
        names = (self.headline.mean, self.headline.worst, self.headline.best, self.headline.consensus)
        return map(self.value, names)


MAJORITY = "test/majority"


def _gap(headline: Headline, difference: float) -> str:
    points, side = abs(headline.scale * difference), "above" if difference > 0 else "below"
    if headline.scale == 1:
        return f"{significant(points, 3)} {side}" if points else "equal to"
    return f"{points:.1f} percentage points {side}" if round(points, 1) else "equal to"
