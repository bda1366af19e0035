"""What a neighbour sends, held against the plan before mixer or methods see it, and refused by its sender's name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from simulator.core.declaration import Declared, excess, misfit
from simulator.core.errors import RunError
from simulator.core.message import Message
from simulator.deployment.transport.positions import named


class Declaring(Protocol):
    """What knows of a node's messages what they may hold: `NodeProgram`, or what stands for one."""

    @property
    def exchanges(self) -> int:
        """How many exchanges a round has."""
        ...

    def declared(self, sender: int, receiver: int, round: int, exchange: int) -> Mapping[str, Declared]:
        """See `NodeProgram.declared`."""
        ...

    def objection(self, message: Message) -> str | None:
        """See `NodeProgram.objection`."""
        ...


class Refused(RunError):
    """What a neighbour has sent cannot be used; where an experiment's parts bear it, it counts as lost."""


def received(data: bytes, sender: int, receiver: int, round: int, exchange: int = 1) -> Message:
    """The message that ``sender`` was to send in an ``exchange`` of ``round``.

    Raises:
        Refused: the bytes are none, or one of another edge, round or exchange.
    """
    try:
        message = Message.decode(data)
    except ValueError as error:
        raise refusal(sender, round, "is something else than a message", exchange) from error
    said = message.sender, message.receiver, message.round, message.exchange
    if said != (sender, receiver, round, exchange):
        what = f"of node {message.sender} to node {message.receiver} in {named(message.round, message.exchange)}"
        raise refusal(sender, round, f"is a message {what}", exchange)
    return message


def inspect(message: Message, program: Declaring) -> None:
    """Hold parts, types, shapes and values against what mixer and methods declare.

    Raises:
        Refused: they differ.
    """
    declared = program.declared(message.sender, message.receiver, message.round, message.exchange)
    wrong = misfit(message.parts, declared) or excess(message.parts, declared) or program.objection(message)
    if wrong:
        raise refusal(message.sender, message.round, wrong, message.exchange)


def refusal(sender: int, round: int, what: str, exchange: int = 1) -> Refused:
    """That what ``sender`` has sent then is refused, and why, as the end of a sentence."""
    return Refused(f"the message of node {sender} in {named(round, exchange)} is refused: it {what}.")
