"""Messages of Flower's to nodes, and their replies; what becomes of one whose SuperNode was lost."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from flwr.app import Message
from flwr.serverapp import Grid

from simulator.deployment.breaking_off import BrokenOff
from simulator.deployment.records import Misshapen, packed, unpacked

POLL = 0.1  # seconds between two looks at what nodes have answered
SELDOM, PART = 2.0, 0.1  # seconds at most, and of the time since the last answer: each look costs the SuperLink some ms
RETRY = 3.0  # seconds
GRACE = 180.0  # seconds for processes to start and for a lost SuperNode to be missed, beyond what the work may take
BROKEN_OFF = f"({BrokenOff.__name__})"  # as `untold` has it
PASSING = {0, 3, 4, 5, 8}  # Flower's codes of errors that are no fault of the app: it is worth trying again


class Answered(NamedTuple):
    """What has come of a message to ``node``: its reply, or why there is none, which passes."""

    node: int
    reply: dict[str, Any] | None
    reason: str = ""


class Messenger:
    """Sends to nodes by their own numbers, one message at a time each.

    Args:
        grid: Flower's.
        numbers: Flower's number of each node; more may be added.
    """

    def __init__(self, grid: Grid, numbers: Mapping[int, int]) -> None:
        self._grid, self.numbers = grid, dict(numbers)
        self._under_way: dict[str, int] = {}
        self._heard = time.monotonic()  # when something was last sent or answered

    @property
    def nodes(self) -> list[int]:
        """Those that messages can be sent to."""
        return sorted(self.numbers)

    @property
    def busy(self) -> set[int]:
        """Those that have a message that they have not answered."""
        return set(self._under_way.values())

    def send(self, node: int, kind: str, content: Mapping[str, Any], seconds: float) -> bool:
        """Send ``node`` a message that may take so long, and some more; returns whether Flower takes it."""
        ttl = seconds + GRACE
        message = Message(packed(content), dst_node_id=self.numbers[node], message_type=kind, ttl=ttl)
        (number,) = self._grid.push_messages([message])
        if number:
            self._under_way[number], self._heard = node, time.monotonic()
        return bool(number)

    def pause(self) -> None:
        """Some time passes until the next look: the more, the longer nothing has come."""
        time.sleep(max(POLL, min(SELDOM, PART * (time.monotonic() - self._heard))))

    def answers(self) -> Iterator[Answered]:
        """What has come since, of all that was sent.

        Raises:
            RuntimeError: a node cannot do what it is asked for, or replies what is none.
        """
        for reply in self._grid.pull_messages(list(self._under_way)) if self._under_way else ():
            node, self._heard = self._under_way.pop(reply.metadata.reply_to_message_id), time.monotonic()
            if not reply.has_error():
                yield Answered(node, _content(node, reply))
            elif reply.error.code in PASSING or BROKEN_OFF in str(reply.error.reason):
                yield Answered(node, None, str(reply.error.reason))
            else:
                raise RuntimeError(f"node {node}: {reply.error.reason}")


def _content(node: int, reply: Message) -> dict[str, Any]:
    try:
        return unpacked(reply)
    except Misshapen as error:
        raise RuntimeError(f"node {node}: its reply {error}") from error
