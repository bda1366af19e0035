"""Who took part in a deployment: nodes that were away, messages that did not arrive, and what that does to the mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from simulator.core.report import AWAY, LOST, Metric, Table
from simulator.results.formatting import nodes_named
from simulator.results.report.chapter import Chapter
from simulator.results.run_directory import RunDirectory

Links = Mapping[tuple[int, int], Sequence[int]]  # by sender and receiver, rounds


@dataclass(frozen=True)
class Participation:
    """What the nodes of a deployment say of it.

    Attributes:
        not_collected: nodes that say nothing.
        away: by node, the rounds in which it was.
        lost: by sender and receiver, the rounds in which a message did not arrive, or was refused.
    """

    not_collected: Sequence[int]
    away: Mapping[int, Sequence[int]]
    lost: Links

    @classmethod
    def of(cls, run: RunDirectory) -> Participation:
        """What is known of it from the run's directory."""
        away: dict[int, list[int]] = {}
        lost: dict[tuple[int, int], list[int]] = {}
        for metric in run.metrics():
            if metric.node is not None and metric.name == AWAY:
                away.setdefault(metric.node, []).append(metric.round)
            elif metric.node is not None and metric.name.startswith(LOST):
                lost.setdefault((_sender(metric), metric.node), []).append(metric.round)
        return cls(run.not_collected, away, lost)

    @property
    def one_way(self) -> dict[tuple[int, int], list[int]]:
        """The lost messages whose senders had the receiver's own message in that round.

        What the receiver does not take over of the sender, the sender did take over of the receiver, so that the
        round's weights keep no mean. Whether those that were not collected had it is not known.
        """
        found = {}
        for (sender, receiver), rounds in self.lost.items():
            back = {*self.away.get(sender, ()), *self.lost.get((receiver, sender), ())}
            if sender not in self.not_collected and (only := [round for round in rounds if round not in back]):
                found[sender, receiver] = only
        return found

    def sentences(self) -> Iterator[str]:
        """What has to be known before any figure is read."""
        if gone := self.not_collected:
            yield (
                f"This run was collected without {nodes_named(gone)}: no figure here counts what is theirs, nor "
                "messages from and to them."
            )
        if one_way := self.one_way:
            rounds = {round for rounds in one_way.values() for round in rounds}
            yield (
                f"In rounds {spans(rounds)} messages went one way alone, so that the weights of these rounds keep no "
                "mean: see Who took part."
            )

    def chapters(self) -> Iterator[Chapter]:
        """Which nodes were away in which rounds, and whose messages did not arrive, where there is anything to say."""
        missed = Counter[int]()
        for (sender, _), rounds in self.lost.items():
            missed[sender] += len(rounds)
        if nodes := sorted({*self.away, *missed, *self.not_collected}):
            rows = [(node, self._away(node), missed[node]) for node in nodes]
            text = (
                "Nodes of a deployment come and go. In a round in which it was away a node said nothing, heard nothing "
                "and kept its model; a message that did not arrive in time gave its weight to its receiver. All others "
                "took part in every round."
            )
            tables = [Table(("node", "away in rounds", "its messages lost"), rows), *self._one_way_table()]
            yield Chapter("Who took part", (text, *self._of_the_mean()), tables=tables)

    def _away(self, node: int) -> str:
        return "not collected" if node in self.not_collected else spans(self.away.get(node, ()))

    def _of_the_mean(self) -> Iterator[str]:
        if self.one_way:
            yield (
                "Where a message is lost in both directions, or its sender was away, the nodes' mean is what it would "
                "be in a simulation of the same absences (with symmetric weights). Where it went one way alone, as in "
                "the round in which a node was lost or came back, the mean of all N models moved by W/N times the "
                "difference of the two models, W being the weight of the link: once for each round and link below."
            )

    def _one_way_table(self) -> Iterator[Table]:
        if self.one_way:
            rows = [(*link, spans(rounds)) for link, rounds in sorted(self.one_way.items())]
            yield Table(("sender", "not heard by", "though the other way in rounds"), rows)


def spans(rounds: Iterable[int]) -> str:
    """Rounds as "3-7, 9"; "none" where there are none."""
    found: list[list[int]] = []
    for round in sorted(rounds):
        if found and found[-1][-1] == round - 1:
            found[-1] = [found[-1][0], round]
        else:
            found.append([round])
    return ", ".join("-".join(map(str, span)) for span in found) or "none"


def _sender(metric: Metric) -> int:
    return int(metric.name.removeprefix(LOST))
