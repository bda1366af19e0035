"""Messages of Flower's to all nodes, and their replies; one whose SuperNode was lost is sent again when it is back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from flwr.app import Message
from flwr.serverapp import Grid

from simulator.deployment.records import Misshapen, packed, unpacked

POLL = 0.1  # seconds
RETRY = 3.0  # seconds
GRACE = 180.0  # seconds for processes to start and for a lost SuperNode to be missed, beyond what the work may take
PASSING = {0, 3, 4, 5, 8}  # Flower's codes of errors that are no fault of the app: it is worth trying again


class Messenger:
    """Sends to nodes by their own numbers.

    Args:
        grid: Flower's.
        numbers: Flower's number of each node.
    """

    def __init__(self, grid: Grid, numbers: Mapping[int, int]) -> None:
        self._grid, self._numbers = grid, numbers
        self.nodes = sorted(numbers)

    def ask(self, kind: str, contents: Mapping[int, Mapping[str, Any]], seconds: float) -> dict[int, dict[str, Any]]:
        """Send each node its message and wait for all replies, by node.

        Raises:
            RuntimeError: a node cannot do it, or has not answered in ``seconds`` and some more.
        """
        replies: dict[int, dict[str, Any]] = {}
        under_way: dict[str, int] = {}
        again = dict.fromkeys(contents, 0.0)  # when to send
        deadline = time.monotonic() + seconds + GRACE
        while len(replies) < len(contents):
            if time.monotonic() > deadline:
                silent = ", ".join(str(node) for node in contents if node not in replies)
                raise RuntimeError(f"no answer from nodes {silent} for {seconds + GRACE:.0f} s")
            for node in [node for node, when in again.items() if when <= time.monotonic()]:
                self._send(node, kind, contents[node], seconds + GRACE, under_way, again)
            for reply in self._grid.pull_messages(list(under_way)) if under_way else ():
                self._take(reply, under_way.pop(reply.metadata.reply_to_message_id), replies, again)
            time.sleep(POLL)
        return replies

    def _send(
        self,
        node: int,
        kind: str,
        content: Mapping[str, Any],
        ttl: float,
        under_way: dict[str, int],
        again: dict[int, float],
    ) -> None:
        message = Message(packed(content), dst_node_id=self._numbers[node], message_type=kind, ttl=ttl)
        (number,) = self._grid.push_messages([message])
        if number:
            under_way[number] = node
            del again[node]
        else:
            again[node] = time.monotonic() + RETRY

    def _take(self, reply: Message, node: int, replies: dict[int, dict[str, Any]], again: dict[int, float]) -> None:
        if not reply.has_error():
            try:
                replies[node] = unpacked(reply)
            except Misshapen as error:
                raise RuntimeError(f"node {node}: its reply {error}") from error
        elif reply.error.code in PASSING:
            print(f"node {node}: {reply.error.reason}; sending again", flush=True)
            again[node] = time.monotonic() + RETRY
        else:
            raise RuntimeError(f"node {node}: {reply.error.reason}")
