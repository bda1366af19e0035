"""Views of the labels that nodes send of public samples, by whoever reads these and nothing else.

They are to be seen beside what others see of the same messages: that labels tell little of a sample does not protect a
node that sends its model, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from auditing.views.position import AttackScene, Position, SignalSum, VictimPair
from auditing.views.record import Stored
from auditing.views.view import Unseen, View

SHOWN = 8  # rounds, by their numbers


class LabelView(View):
    """Base of views of labels alone."""

    alone: ClassVar[bool] = False

    def exchanges(self, scene: AttackScene) -> list[int]:
        """The recorded rounds in which a node labelled public samples.

        Raises:
            Unseen: there is none.
        """
        record = scene.record
        found = [round for round in record.rounds if any(record.labels(round, v) for v in scene.victims)]
        if found:
            return found
        if not record.rounds_of_labels:
            raise self.unlabelled("nodes of this run send no labels of public samples.")
        rounds = _named(record.rounds_of_labels)
        if set(record.rounds_of_labels) <= set(record.rounds):
            raise self.unlabelled(f"no node labelled a public sample in {rounds}.")
        what = f"labels of public samples are sent in {rounds}, and no recorded message holds any."
        raise self.unseen(what, "Run it again with these in record.rounds.")

    def position(self, scene: AttackScene, name: str, holder: str, rounds: Sequence[int]) -> Position:
        """Whoever judges by the mean of signal(student) over those of ``rounds`` in which v labelled anything.

        Raises:
            Unseen: nobody did.
        """
        record = scene.record
        told = {v: [round for round in rounds if record.labels(round, v)] for v in scene.victims}
        pairs = tuple(
            VictimPair(v, None, SignalSum.mean([scene.held(Stored("student", v, round)).terms for round in own]))
            for v, own in told.items()
            if own
        )
        if not pairs:
            raise self.unlabelled(f"no node labelled a public sample in {_named(rounds)}.")
        return Position(name, holder, pairs)

    def unlabelled(self, what: str) -> Unseen:
        """The error where there are no labels."""
        return self.unseen(what, "Leave the view out: who hears no labels learns nothing from labels.")


class Labels(LabelView):
    """Whoever reads only the labels that a node sends of public samples, by a student of those last recorded."""

    def positions(self, scene: AttackScene) -> Iterator[Position]:
        """One position, judged by signal(student of v's labels)."""
        yield self.in_round(scene, self.exchanges(scene)[-1])

    def in_round(self, scene: AttackScene, round: int) -> Position:
        """The position of somebody who reads the labels of ``round``."""
        holder = f"whoever reads only the node's labels of public samples in round {round}, by a student of them"
        return self.position(scene, "labels", holder, [round])


class AllLabels(LabelView):
    """Whoever reads only labels, and keeps those of all recorded rounds, by the mean over their students."""

    def positions(self, scene: AttackScene) -> Iterator[Position]:
        """One position, judged by the mean of signal(student of v's labels) over recorded rounds."""
        exchanges = self.exchanges(scene)
        if len(exchanges) == 1:
            advice = "Ask for the view labels, or record more of the rounds in which labels are sent."
            raise self.unseen("labels of only one round were recorded.", advice)
        holder = f"whoever reads only the node's labels of public samples, by students of those of {_named(exchanges)}"
        yield self.position(scene, "all labels", holder, exchanges)


def _named(rounds: Sequence[int]) -> str:
    shown = ", ".join(map(str, rounds[:SHOWN]))
    return f"round{'s' if len(rounds) > 1 else ''} {shown}{', ...' if len(rounds) > SHOWN else ''}"
