"""What a confined process says of a step, held against what a node can have to say of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from simulator.core.backend import Order, Reply
from simulator.core.message import Message
from simulator.core.place import Place
from simulator.deployment.testimony import Testimony
from simulator.deployment.transport.saved_rounds import sending

STEPS = 10**6  # local ones of a round, at most


def misfit(
    reply: Reply, sent: Sequence[Message], order: Order, round: int, place: Place, testimony: Testimony
) -> str | None:
    """What a node cannot have said; None if it may have said all.

    Args:
        reply: what it reports.
        sent: its messages.
        order: what it was to do.
        round: how many rounds it has finished before that.
        place: where it stands in the next one.
        testimony: what there is to say in the experiment.
    """
    step = _step(order, testimony.exchanges)
    due = order if step == "close" else Order()
    envelopes = [message.envelope for message in sent]
    if wrong := testimony.problem(replace(reply, sent=envelopes), round, step, place, due):
        return f"it {wrong}"
    if reply.sent != envelopes:
        return "it counts its messages otherwise than they are"
    if any(message.last for message in sent):
        return "it says that a round is its last one, which is not its to say"
    if reply.steps > (STEPS if order.train else 0):
        return "it says that it has trained more than it can have"
    said = Counter((metric.name, metric.round) for metric in reply.metrics)
    twice = next((name for (name, _), times in said.items() if times > 1), None)
    return None if twice is None else f"it says {twice!r} of a round more than once"


def _step(order: Order, exchanges: int) -> str:
    if order.absorb:
        return "absorb"
    return "close" if order.send is None else sending(order.send, exchanges)
