"""Views of what training at a node changed in a recorded round."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Literal

from auditing.views.position import AttackScene, Position, SignalSum, VictimPair
from auditing.views.record import Stored
from auditing.views.recorded import OTHERWISE, RecordedView, Sent, all_recorded, change, position_of

NOTHING = 1e-9  # of a mixed model, once all that is known was taken out


class Update(RecordedView):
    """Whoever sees all messages, by what the node's training changed in the last recorded round."""

    needs: ClassVar[tuple[Literal["start", "mixed"], ...]] = ("start",)

    def positions(self, scene: AttackScene) -> Iterator[Position]:
        """One position, judged by signal(m_v) - signal(s_v), as those know who see all that v hears."""
        sent = self.updates(scene, [self.last_round(scene)])
        holder = "whoever sees all messages, by what the node's training changed in the last recorded round"
        yield position_of("update", holder, sent, lambda m: change(scene, m, m.sender))


class GuessedUpdate(RecordedView):
    """A neighbour that takes its own start of the round for the victim's."""

    needs: ClassVar[tuple[Literal["start", "mixed"], ...]] = ("start",)

    def positions(self, scene: AttackScene) -> Iterator[Position]:
        """One position, judged by signal(m_v) - signal(s_u), with u the neighbour."""
        sent = self.updates(scene, [self.last_round(scene)])
        holder = "a neighbour, by what the node sent against what it had itself when the round began"
        yield position_of("guessed update", holder, sent, lambda m: change(scene, m, m.receiver))


class Marginalized(RecordedView):
    """A neighbour that takes what it knows out of the victim's mixed model (Pasquini et al. 2023)."""

    needs: ClassVar[tuple[Literal["start", "mixed"], ...]] = ("mixed",)

    def positions(self, scene: AttackScene) -> Iterator[Position]:
        """One position, judged by signal((x_v - sum_k w_vk m_k) / (1 - sum_k w_vk)).

        Here k are the neighbour u, and the others that both v and u hear. Where that is all that v hears, m_v is left.
        After the functionally marginalized model of arXiv:2205.08443.
        """
        round = self.last_round(scene)
        if scene.record.has_state:
            what = "nothing can be taken out of running statistics, which are no weighted sums."
            raise self.unseen(what, "Ask for the views message, mixed and update.")
        sent = self.updates(scene, [round])
        if scene.record.attackers:
            what = "attackers may send a node another model than the observer, which could take out only its own."
            raise self.unseen(what, "Ask for the views message, mixed and update, or run it without adversaries.")
        if any(scene.record.weights(each.round, each.sender) is None for each in sent):
            what = "nothing can be taken out of models that are no weighted sums, or by weights that nobody else knows."
            raise self.unseen(what, "Ask for the views message, mixed and update, or use mixer: gossip.")
        shown = {(m.sender, m.receiver): m.model for m in sent}
        pairs = [VictimPair(m.sender, m.receiver, left) for m in sent if (left := _left(scene, m, shown))]
        if not pairs:
            raise self.unseen(f"no node heard in round {round} whom it sent to.", OTHERWISE)
        holder = "a neighbour, by the node's model after mixing without what the neighbour knows to be in it"
        yield Position("marginalized", holder, tuple(pairs))


class Coalition(RecordedView):
    """All neighbours of the victim together, by the mean of their guessed updates over recorded rounds."""

    needs: ClassVar[tuple[Literal["start", "mixed"], ...]] = ("start",)

    def positions(self, scene: AttackScene) -> Iterator[Position]:
        """One position, judged by the mean of signal(m_v) - signal(s_u) over neighbours u and recorded rounds.

        They pool what they have and solve for nothing. Did they also keep books on all that v hears, they would know
        s_v, and with it as much as `Global`. Where nodes lie, the honest neighbours pool, and the attackers.
        """
        self.last_round(scene)
        sent, lying = self.updates(scene, scene.record.rounds), scene.record.attackers
        who = "all honest neighbours" if lying else "all neighbours"
        if honest := [each for each in sent if each.receiver not in lying]:
            yield self._together(scene, who, honest)
        if active := [each for each in sent if each.receiver in lying]:
            yield self._together(scene, "all attackers among the neighbours", active).of_attackers()

    def _together(self, scene: AttackScene, who: str, sent: Sequence[Sent]) -> Position:
        holder = f"{who} of a node together, by the mean of their guessed updates over {all_recorded(scene)}"
        return position_of("coalition", holder, sent, lambda m: change(scene, m, m.receiver), together=True)


class Global(RecordedView):
    """Whoever sees the whole network, by the mean of the victim's updates over recorded rounds."""

    needs: ClassVar[tuple[Literal["start", "mixed"], ...]] = ("start",)

    def positions(self, scene: AttackScene) -> Iterator[Position]:
        """One position, judged by the mean of signal(m_v) - signal(s_v) over recorded rounds.

        All that v's data does to the network, it does by what v sends; so there is nothing to add of other nodes.
        """
        self.last_round(scene)
        sent = self.updates(scene, scene.record.rounds)
        holder = f"whoever sees all messages, by the mean of the node's updates over {all_recorded(scene)}"
        yield position_of("global", holder, sent, lambda m: change(scene, m, m.sender), together=True)


def _left(scene: AttackScene, sent: Sent, shown: Mapping[tuple[int, int], Stored]) -> SignalSum | None:
    """What the receiver of ``sent`` can make of the sender's mixed model; None if that did not hear the receiver."""
    victim, observer = sent.sender, sent.receiver
    weights = scene.record.weights(sent.round, victim) or {}
    if observer not in weights or (observer, victim) not in shown:
        return None
    known = {observer: shown[observer, victim]}
    known |= {k: shown[k, observer] for k in weights if k != victim and (k, observer) in shown}
    if 1 - sum(weights[k] for k in known) < NOTHING:
        return None
    terms = ((model, -weights[k]) for k, model in sorted(known.items()))
    return SignalSum(((scene.row((Stored("mixed", victim, sent.round), 1.0), *terms), 1.0),))
