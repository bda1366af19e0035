"""Who has left a run in order, and after which round: from then on, links are those of rounds in which it is away."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from simulator.core import atomic
from simulator.core.message import Message
from topologies import Failures, Links

LAST = 10**9  # no run has so many rounds: who has left does not come back


class Departures:
    """On a node's own disk, what it knows of itself and of its neighbours.

    A node announces its last round with the messages of that round, so that both ends of a link know it in the same
    round, also where they work it again.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._after = {int(node): round for node, round in _read(path).items()}

    def after(self, node: int) -> int | None:
        """The last round of ``node``; None where it has not left."""
        return self._after.get(node)

    def add(self, node: int, round: int) -> None:
        """Remember that ``round`` is the last one of ``node``."""
        if self._after.get(node) != round:
            self._after[node] = round
            self._path.parent.mkdir(parents=True, exist_ok=True)
            atomic.write(self._path, json.dumps(self._after))

    def hear(self, messages: Iterable[Message]) -> None:
        """Remember whose messages are their last ones."""
        for message in messages:
            if message.last:
                self.add(message.sender, message.round)

    def applied(self, links: Links, round: int) -> Links:
        """What is left of the ``links`` of a round, counted from 0, as in a simulation of the same absences."""
        gone = tuple((node, after + 1, LAST) for node, after in self._after.items())
        return Failures(absences=gone).apply(links, round) if gone else links


def _read(path: Path) -> dict[str, int]:
    return dict(json.loads(path.read_text())) if path.exists() else {}
