"""What a node sends, let go by its site, for the neighbours to fetch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby

from simulator.core.message import Message
from simulator.deployment.transport.box import Box
from simulator.deployment.transport.positions import ONCE, Positions

Release = Callable[[Sequence[Message]], Mapping[int, bytes]]


class Outbox(Box):
    """A node's own `Box`.

    Args:
        position: the one that is sent next.
        release: lets messages go, and returns their bytes by receiver; see `simulator.deployment.site.gate.Gate`. What
            is here, neighbours can fetch at any time.
        before: what was sent in the round before it, which may have been before this process began.
        positions: how many exchanges a round has.
    """

    def __init__(
        self, position: int, release: Release, before: Iterable[Message] = (), positions: Positions = ONCE
    ) -> None:
        super().__init__(position - 1, positions)
        self._release = release
        for at, sent in groupby(before, lambda message: positions.of(message.round, message.exchange)):
            self._letters[at] = release(list(sent))
        # Who needs the round before asks for it before anything else; most have had it, and need not be waited for.
        self._had = dict.fromkeys({to for letters in self._letters.values() for to in letters}, self._position)

    def publish(self, position: int, messages: Iterable[Message], askers: Iterable[int] = ()) -> None:
        """All messages of ``position`` are there; see `Box.add` for the ``askers``."""
        released = self._release(list(messages))  # before anybody can see them, who need not wait for the disk
        self.add(position, {position: released}, askers=askers)
