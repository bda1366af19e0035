"""What hooks return and send: where that is nearly right, a run would go on and mean another thing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from simulator.core.errors import RunError
from simulator.core.message import Message
from simulator.core.method import Method
from simulator.core.mixer import Mixer
from simulator.core.node import Node


def returned(node: Node, part: Mixer | Method, hook: str, value: Any, wanted: type[Any] | None) -> Any:
    """``value``, which a hook of ``part`` has returned and which a stranger's may have forgotten to return.

    Args:
        node: whose part it is.
        part: whose hook.
        hook: its name.
        value: what it has returned.
        wanted: of which kind that must be; None: nothing.

    Raises:
        RunError: it is of another kind.
    """
    if value is None if wanted is None else isinstance(value, wanted):
        return value
    what = f"{hook} of {part.config.name} returns {type(value).__name__}, at node {node.id} in round {node.round}"
    nothing = "Return nothing: what the hook is for is written to the node."
    raise RunError(f"{what}.\n    {nothing if wanted is None else f'Return a {wanted.__name__}, as it is declared.'}")


def call(node: Node, hook: str, parts: Iterable[Mixer | Method], *given: Any) -> None:
    """Call a ``hook`` that returns nothing, of each of ``parts``, with the node and what else is ``given``.

    Raises:
        RunError: one returns something, which would be lost.
    """
    for part in parts:
        returned(node, part, hook, getattr(part, hook)(node, *given), None)


def check_copied(node: Node, message: Message) -> None:
    """Refuse to send what its sender goes on to write to: a receiver would find it changed, or not, as it comes.

    Raises:
        RunError: a part is the node's own parameters, or a view of them.
    """
    own = node.parameters.untyped_storage().data_ptr()
    for name, part in message.parts.items():
        if part.untyped_storage().data_ptr() == own:
            what = (
                f"the part '{name}' of the message of node {node.id} to node {message.receiver} in round {node.round}"
            )
            advice = "Send a copy, the same to all neighbours: node.parameters.clone()."
            raise RunError(f"{what} is the node's own parameters, which it goes on to write to.\n    {advice}")


def versions(messages: list[Message]) -> list[int]:
    """How often each part of ``messages`` has been written to."""
    return [part._version for message in messages for part in message.parts.values()]


def check_unwritten(node: Node, messages: list[Message], before: list[int]) -> None:
    """Refuse to write to what has been sent, which other receivers read as well.

    Raises:
        RunError: the `versions` of ``messages`` are others than ``before``.
    """
    if versions(messages) != before:
        what = f"what node {node.id} was sent in round {node.round} has been written to, while others read it still"
        hooks = "mix, after_mixing, incoming and early_incoming"
        raise RunError(f"{what}.\n    In {hooks}, work on copies of parts of messages.")
