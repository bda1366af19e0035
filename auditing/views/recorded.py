"""What views of recorded rounds have in common.

In a recorded round node v starts from the model s_v, trains, and shows m_v to its receivers; after mixing it has x_v.
Where m_v is not what v has just trained, m_v - s_v is no update, so views of updates are refused. Where mixing is no
weighted sum of such models, by weights that do not depend on them, x_v holds no message that could be taken out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, NamedTuple

from auditing.views.position import AttackScene, Observation, Position, SignalSum, Terms, VictimPair
from auditing.views.record import Stored, recorded_rounds
from auditing.views.view import View

OTHERWISE = "Record other rounds, and run it again."


class Sent(NamedTuple):
    """A message that shows a model."""

    round: int
    sender: int
    receiver: int
    model: Stored


class RecordedView(View):
    """Base of views that need recorded rounds.

    Attributes:
        needs: the models that recordings must hold beside messages.
    """

    needs: ClassVar[tuple[Literal["start", "mixed"], ...]] = ()

    def last_round(self, scene: AttackScene) -> int:
        """The last recorded round.

        Raises:
            Unseen: nothing was recorded, or not what this view needs.
        """
        if not scene.record.rounds:
            what = "this run recorded nothing of what its nodes sent and had."
            raise self.unseen(what, "Run it again with, for example, record.every=50.")
        for kind in self.needs:
            if not scene.record.keeps(kind):
                what = f"this run left {kind} models out of what it recorded."
                raise self.unseen(what, f"Run it again without {kind} in record.without.")
        return scene.record.rounds[-1]

    def sent(self, scene: AttackScene, rounds: Sequence[int]) -> list[Sent]:
        """All that victims sent in ``rounds``.

        Raises:
            Unseen: nothing was sent, or messages show no models.
        """
        record = scene.record
        links = [(round, v, u) for round in rounds for v in scene.victims for u in record.receivers(round, v)]
        if not links:
            raise self.unseen(f"no node sent anything in {_named(rounds)}.", OTHERWISE)
        found = [Sent(*link, model) for link in links if (model := record.message(*link))]
        if not found and any(record.masked_to(round, u) for round, _, u in links):
            what = "messages are masked, so that nobody makes out what one node has sent."
            raise self.unseen(what, "Ask for the views message and mixed, or use mixer: gossip.")
        if not found:
            what = "what this mixer sends shows no model."
            raise self.unseen(what, "Ask for the view mixed, or use mixer: gossip.")
        if record.has_state and any(record.running(each.model) is None for each in found):
            what = "messages of this run do not carry the running statistics without which a model is not whole."
            raise self.unseen(what, "Ask for the views final_model and mixed, or set buffers: mixed.")
        return found

    def updates(self, scene: AttackScene, rounds: Sequence[int]) -> list[Sent]:
        """All that was sent in ``rounds``, which is what senders have just trained.

        Raises:
            Unseen: it is not, nothing was sent, or messages show no models.
        """
        sent = self.sent(scene, rounds)
        if not scene.record.shows_trained:
            what = "this mixer does not send what the nodes have just trained, so messages hold no updates."
            raise self.unseen(what, "Ask for the views message and mixed, or use gossip, adapt_then_combine.")
        return sent


def position_of(
    name: str,
    holder: str,
    sent: Sequence[Sent],
    terms: Callable[[Sent], Terms],
    together: bool = False,
    judged: Callable[[Sequence[Terms]], Observation] = SignalSum.mean,
) -> Position:
    """Attackers who judge by ``terms`` of what each receiver, or all ``together``, got of each sender.

    By their mean, unless ``judged`` says what is made of them, round by round.
    """
    groups: dict[tuple[int, int | None], list[Terms]] = {}
    for each in sent:
        groups.setdefault((each.sender, None if together else each.receiver), []).append(terms(each))
    pairs = (VictimPair(victim, observer, judged(group)) for (victim, observer), group in groups.items())
    return Position(name, holder, tuple(pairs))


def change(scene: AttackScene, sent: Sent, node: int) -> Terms:
    """By how much a message's signal is above that of the model from which ``node`` started."""
    before = scene.row((Stored("start", node, sent.round), 1.0))
    return ((scene.row((sent.model, 1.0)), 1.0), (before, -1.0))


def all_recorded(scene: AttackScene) -> str:
    """How much of the run was recorded, in words."""
    return recorded_rounds(len(scene.record.rounds), scene.record.lasted)


def _named(rounds: Sequence[int]) -> str:
    return f"round {rounds[0]}" if len(rounds) == 1 else "any recorded round"
