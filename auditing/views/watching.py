"""Views of recorded rounds: what attackers compute who see messages, or models while they are trained.

In a recorded round node v starts from the model s_v, trains, and shows m_v to its receivers; after mixing it has x_v.
Where mixing is not a weighted sum of what nodes have just trained, m_v - s_v is no update and x_v holds no message that
could be taken out, so those views are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

from auditing.views.record import Stored, recorded_rounds
from auditing.views.view import AttackScene, SignalSum, Terms, Unseen, VictimPair, View

NOTHING = 1e-9  # of a mixed model, once all that is known was taken out
OTHERWISE = "Record other rounds, and run it again."


class Sent(NamedTuple):
    """A message that shows a model."""

    round: int
    sender: int
    receiver: int
    model: Stored


def message(scene: AttackScene) -> Iterator[View]:
    """A neighbour, or whoever listens on a link: signal(m_v), of the last recorded round."""
    yield message_of(scene, _last(scene, "message"))


def message_of(scene: AttackScene, round: int) -> View:
    """`message` of another round."""
    sent = _sent(scene, "message", [round])
    return _view("message", f"a neighbour, by what the node sent in round {round}", sent, lambda m: _held(scene, m))


def mixed(scene: AttackScene) -> Iterator[View]:
    """Whoever is given the victim's model during training: signal(x_v), of the last recorded round."""
    yield mixed_of(scene, _last(scene, "mixed", "mixed"))


def mixed_of(scene: AttackScene, round: int) -> View:
    """`mixed` of another round."""
    pairs = (VictimPair(v, None, scene.held(Stored("mixed", v, round))) for v in range(scene.record.nodes))
    return View("mixed", f"whoever is given a node's model after mixing in round {round}", tuple(pairs))


def update(scene: AttackScene) -> Iterator[View]:
    """Whoever sees all messages, and so knows s_v: signal(m_v) - signal(s_v), of the last recorded round."""
    sent = _updates(scene, "update", [_last(scene, "update", "start")])
    holder = "whoever sees all messages, by what the node's training changed in the last recorded round"
    yield _view("update", holder, sent, lambda m: _change(scene, m, m.sender))


def guessed_update(scene: AttackScene) -> Iterator[View]:
    """A neighbour u that takes its own start for the victim's: signal(m_v) - signal(s_u)."""
    sent = _updates(scene, "guessed_update", [_last(scene, "guessed_update", "start")])
    holder = "a neighbour, by what the node sent against what it had itself when the round began"
    yield _view("guessed update", holder, sent, lambda m: _change(scene, m, m.receiver))


def marginalized(scene: AttackScene) -> Iterator[View]:
    """A neighbour u that gets x_v and takes out what it knows: signal((x_v - sum_k w_vk m_k) / (1 - sum_k w_vk)).

    Here k are u, and the others that both v and u hear. Where that is all that v hears, m_v is left. After the
    functionally marginalized model of Pasquini et al. 2023 (arXiv:2205.08443).
    """
    round = _last(scene, "marginalized", "mixed")
    sent = _updates(scene, "marginalized", [round])
    shown = {(m.sender, m.receiver): m.model for m in sent}
    pairs = [VictimPair(m.sender, m.receiver, left) for m in sent if (left := _left(scene, m, shown))]
    if not pairs:
        raise Unseen("marginalized", f"no node heard in round {round} whom it sent to.", OTHERWISE)
    holder = "a neighbour, by the node's model after mixing without what the neighbour knows to be in it"
    yield View("marginalized", holder, tuple(pairs))


def all_rounds(scene: AttackScene) -> Iterator[View]:
    """A curious neighbour with a memory: the mean of signal(m_v) over the recorded rounds in which it heard v."""
    _last(scene, "all_rounds")
    if len(scene.record.rounds) == 1:
        raise Unseen("all_rounds", "only one round was recorded.", "Ask for the view message, or record more rounds.")
    sent = _sent(scene, "all_rounds", scene.record.rounds)
    holder = f"a neighbour that keeps what the node sends, by the mean over {_recorded(scene)}"
    yield _view("all rounds", holder, sent, lambda m: _held(scene, m))


def coalition(scene: AttackScene) -> Iterator[View]:
    """All neighbours of v together: the mean of their guessed updates, over neighbours and recorded rounds.

    They pool what they have and solve for nothing. Did they also keep books on all that v hears, they would know s_v,
    and with it as much as ``global``.
    """
    _last(scene, "coalition", "start")
    sent = _updates(scene, "coalition", scene.record.rounds)
    holder = f"all neighbours of a node together, by the mean of their guessed updates over {_recorded(scene)}"
    yield _view("coalition", holder, sent, lambda m: _change(scene, m, m.receiver), together=True)


def everything(scene: AttackScene) -> Iterator[View]:
    """Whoever sees the whole network: the mean of signal(m_v) - signal(s_v) over recorded rounds.

    All that v's data does to the network, it does by what v sends; so there is nothing to add of other nodes.
    """
    _last(scene, "global", "start")
    sent = _updates(scene, "global", scene.record.rounds)
    holder = f"whoever sees all messages, by the mean of the node's updates over {_recorded(scene)}"
    yield _view("global", holder, sent, lambda m: _change(scene, m, m.sender), together=True)


def _view(name: str, holder: str, sent: Sequence[Sent], terms: Callable[[Sent], Terms], together: bool = False) -> View:
    """Of what each receiver, or all ``together``, got of each sender, the mean of ``terms``."""
    groups: dict[tuple[int, int | None], list[Terms]] = {}
    for each in sent:
        groups.setdefault((each.sender, None if together else each.receiver), []).append(terms(each))
    pairs = (VictimPair(victim, observer, SignalSum.mean(group)) for (victim, observer), group in groups.items())
    return View(name, holder, tuple(pairs))


def _held(scene: AttackScene, sent: Sent) -> Terms:
    return scene.held(sent.model).terms


def _change(scene: AttackScene, sent: Sent, node: int) -> Terms:
    """By how much a message's signal is above that of the model from which ``node`` started."""
    before = scene.row((Stored("start", node, sent.round), 1.0))
    return ((scene.row((sent.model, 1.0)), 1.0), (before, -1.0))


def _left(scene: AttackScene, sent: Sent, shown: dict[tuple[int, int], Stored]) -> SignalSum | None:
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


def _last(scene: AttackScene, view: str, *kept: Literal["start", "mixed"]) -> int:
    """The last recorded round, if the models ``kept`` are in recordings."""
    if not scene.record.rounds:
        what = "this run recorded nothing of what its nodes sent and had."
        raise Unseen(view, what, "Run it again with, for example, record.every=50.")
    for kind in kept:
        if not scene.record.keeps(kind):
            what = f"this run left {kind} models out of what it recorded."
            raise Unseen(view, what, f"Run it again without {kind} in record.without.")
    return scene.record.rounds[-1]


def _recorded(scene: AttackScene) -> str:
    return recorded_rounds(len(scene.record.rounds), scene.record.lasted)


def _sent(scene: AttackScene, view: str, rounds: Sequence[int]) -> list[Sent]:
    """All that was sent in ``rounds``, if it shows models."""
    record = scene.record
    links = [(round, v, u) for round in rounds for v in range(record.nodes) for u in record.receivers(round, v)]
    if not links:
        raise Unseen(view, f"no node sent anything in {_named(rounds)}.", OTHERWISE)
    found = [Sent(*link, model) for link in links if (model := record.message(*link))]
    if not found:
        raise Unseen(view, "what this mixer sends shows no model.", "Ask for the view mixed, or use mixer: gossip.")
    return found


def _updates(scene: AttackScene, view: str, rounds: Sequence[int]) -> list[Sent]:
    """All that was sent in ``rounds``, if it is what senders have just trained."""
    sent = _sent(scene, view, rounds)
    if not all(scene.record.weights(each.round, each.sender) for each in sent):
        what = "this mixer does not average what the nodes have just trained, so messages and models hold no updates."
        raise Unseen(view, what, "Ask for the views message and mixed, or use gossip, adapt_then_combine.")
    return sent


def _named(rounds: Sequence[int]) -> str:
    return f"round {rounds[0]}" if len(rounds) == 1 else "any recorded round"
