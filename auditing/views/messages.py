"""Views of models that nodes show while they are trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from auditing.views.position import AttackScene, Position, VictimPair
from auditing.views.record import Stored
from auditing.views.recorded import RecordedView, all_recorded, position_of


class MessageView(RecordedView):
    """A neighbour, or whoever listens on a link, by what the node sent in the last recorded round."""

    def positions(self, scene: AttackScene) -> Iterator[Position]:
        """One position, judged by signal(m_v)."""
        yield self.in_round(scene, self.last_round(scene))

    def in_round(self, scene: AttackScene, round: int) -> Position:
        """The position of somebody who heard the node in ``round``."""
        sent, holder = self.sent(scene, [round]), f"a neighbour, by what the node sent in round {round}"
        return position_of("message", holder, sent, lambda m: scene.held(m.model).terms)


class Mixed(RecordedView):
    """Whoever is given the victim's model during training, after mixing in the last recorded round."""

    needs: ClassVar[tuple[Literal["start", "mixed"], ...]] = ("mixed",)

    def positions(self, scene: AttackScene) -> Iterator[Position]:
        """One position, judged by signal(x_v)."""
        yield self.in_round(scene, self.last_round(scene))

    def in_round(self, scene: AttackScene, round: int) -> Position:
        """The position of somebody who is given models after ``round``."""
        pairs = (VictimPair(v, None, scene.held(Stored("mixed", v, round))) for v in range(scene.record.nodes))
        return Position("mixed", f"whoever is given a node's model after mixing in round {round}", tuple(pairs))


class AllRounds(RecordedView):
    """A curious neighbour with a memory, by all that it heard of the victim in recorded rounds."""

    def positions(self, scene: AttackScene) -> Iterator[Position]:
        """One position, judged by the mean of signal(m_v) over the recorded rounds in which the neighbour heard v."""
        self.last_round(scene)
        if len(scene.record.rounds) == 1:
            advice = "Ask for the view message, or record more rounds."
            raise self.unseen("only one round was recorded.", advice)
        sent = self.sent(scene, scene.record.rounds)
        holder = f"a neighbour that keeps what the node sends, by the mean over {all_recorded(scene)}"
        yield position_of("all rounds", holder, sent, lambda m: scene.held(m.model).terms)
