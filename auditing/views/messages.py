"""Views of models that nodes show while they are trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

from auditing.views.position import AttackScene, Position, SignalSum, Terms, Trajectory, VictimPair
from auditing.views.record import Stored
from auditing.views.recorded import RecordedView, Sent, all_recorded, position_of


class MessageView(RecordedView):
    """A neighbour, or whoever listens on a link, by what the node sent in the last recorded round."""

    def positions(self, scene: AttackScene) -> Iterator[Position]:
        """One position, judged by signal(m_v).

        Where messages are masked, by signal(sum_k w_uk m_k / sum_k w_uk) with u the neighbour and k all that it hears.
        """
        yield self.in_round(scene, self.last_round(scene))

    def in_round(self, scene: AttackScene, round: int) -> Position:
        """The position of somebody who heard the node in ``round``."""
        if summed := list(_summed(scene, round)):
            holder = f"a neighbour, by the mean of what all that it hears sent in round {round}: messages are masked"
            return Position("message", holder, tuple(summed))
        sent, holder = self.sent(scene, [round]), f"a neighbour, by what the node sent in round {round}"
        return position_of("message", holder, sent, lambda m: scene.held(m.model).terms)


def _summed(scene: AttackScene, round: int) -> Iterator[VictimPair]:
    """Whom each node heard in a sum of masked messages, and what it made out: that is the same for all of them."""
    if scene.record.has_state:  # which would not be of the model that is made out
        return
    for observer in range(scene.record.nodes):
        for victim in scene.record.masked_to(round, observer):
            yield VictimPair(victim, observer, scene.held(Stored("heard", observer, round)))


class Mixed(RecordedView):
    """Whoever is given the victim's model during training, after mixing in the last recorded round."""

    needs: ClassVar[tuple[Literal["start", "mixed"], ...]] = ("mixed",)

    def positions(self, scene: AttackScene) -> Iterator[Position]:
        """One position, judged by signal(x_v)."""
        yield self.in_round(scene, self.last_round(scene))

    def in_round(self, scene: AttackScene, round: int) -> Position:
        """The position of somebody who is given models after ``round``."""
        pairs = (VictimPair(v, None, scene.held(Stored("mixed", v, round))) for v in scene.victims)
        return Position("mixed", f"whoever is given a node's model after mixing in round {round}", tuple(pairs))


class AllRounds(RecordedView):
    """A curious neighbour with a memory, by all that it heard of the victim in recorded rounds."""

    least: ClassVar[int] = 2

    def positions(self, scene: AttackScene) -> Iterator[Position]:
        """One position, judged by the mean of signal(m_v) over the recorded rounds in which the neighbour heard v."""
        sent = self.in_all_rounds(scene)
        holder = f"a neighbour that keeps what the node sends, by the mean over {all_recorded(scene)}"
        yield position_of("all rounds", holder, sent, lambda m: scene.held(m.model).terms)

    def in_all_rounds(self, scene: AttackScene) -> list[Sent]:
        """What was sent in recorded rounds, in their order.

        Raises:
            Unseen: fewer than `least` were recorded, nothing was sent, or messages show no models.
        """
        self.last_round(scene)
        if (rounds := len(scene.record.rounds)) < self.least:
            what = "only one round was recorded." if rounds == 1 else f"only {rounds} rounds were recorded."
            advice = f"Ask for the view message, or record at least {self.least} rounds."
            raise self.unseen(what, advice)
        return self.sent(scene, scene.record.rounds)


class TrajectoryView(AllRounds):
    """A neighbour with a memory that judges each recorded round by itself and adds up how sure it is."""

    least: ClassVar[int] = 3

    def positions(self, scene: AttackScene) -> Iterator[Position]:
        """One position, judged by signal(m_v) of each recorded round.

        With an attack that gives ratios of likelihoods, such as online LiRA, this is the Gaussian form of attacks on
        the trajectory of losses (Liu et al. 2022, arXiv:2208.14933), which are distilled there and are known here.
        """
        sent = self.in_all_rounds(scene)
        holder = f"a neighbour that keeps what the node sends, and judges round by round over {all_recorded(scene)}"
        yield position_of("trajectory", holder, sent, lambda m: scene.held(m.model).terms, judged=_one_by_one)


class FirstToLast(AllRounds):
    """A neighbour with a memory, by how much surer the node has become from the first recorded round to the last."""

    def positions(self, scene: AttackScene) -> Iterator[Position]:
        """One position, judged by signal(m_v) in the last recorded round in which v was heard less that in the first.

        It needs no replicas: how hard a sample is weighs on both.
        """
        sent = self.in_all_rounds(scene)
        holder = f"a neighbour that keeps what the node sends, by what changed over {all_recorded(scene)}"
        yield position_of("first to last", holder, sent, lambda m: scene.held(m.model).terms, judged=_growth)


def _one_by_one(rounds: Sequence[Terms]) -> Trajectory:
    return Trajectory(tuple(SignalSum(terms) for terms in rounds))


def _growth(rounds: Sequence[Terms]) -> SignalSum:
    before = ((row, -weight) for row, weight in rounds[0])
    return SignalSum((*rounds[-1], *before))
