"""What a neighbour sends, held against the plan before mixer or methods see it, and refused by its sender's name."""

from __future__ import annotations

from simulator.core.declaration import excess, misfit
from simulator.core.errors import RunError
from simulator.core.message import Message
from simulator.core.node import Node


class Refused(RunError):
    """What a neighbour has sent cannot be used; where an experiment's parts bear it, it counts as lost."""


def received(data: bytes, sender: int, receiver: int, round: int) -> Message:
    """The message that ``sender`` was to send in ``round``.

    Raises:
        Refused: the bytes are none, or one of another edge or round.
    """
    try:
        message = Message.decode(data)
    except ValueError as error:
        raise refusal(sender, round, "is something else than a message") from error
    if (message.sender, message.receiver, message.round) != (sender, receiver, round):
        what = f"of node {message.sender} to node {message.receiver} in round {message.round}"
        raise refusal(sender, round, f"is a message {what}")
    return message


def inspect(message: Message, node: Node) -> None:
    """Hold parts, types, shapes and values against what mixer and methods declare.

    Raises:
        Refused: they differ.
    """
    declared = node.declared(message.sender, node.id, message.round)
    wrong = misfit(message.parts, declared) or excess(message.parts, declared) or node.objection(message)
    if wrong:
        raise refusal(message.sender, message.round, wrong)


def refusal(sender: int, round: int, what: str) -> Refused:
    """That what ``sender`` has sent in ``round`` is refused, and why, as the end of a sentence."""
    return Refused(f"the message of node {sender} in round {round} is refused: it {what}.")
