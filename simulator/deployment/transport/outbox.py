"""What a node has sent and its neighbours have yet to fetch, and what they ask and are answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import IntEnum
from itertools import groupby
from struct import Struct
from typing import NamedTuple

from simulator.core.message import Message
from simulator.deployment.transport.positions import ONCE, Positions

SERVICE, METHOD = "rumormill.Gossip", "Fetch"
QUESTION = Struct("<32sq")  # run and position
HEAD = Struct("<Bq")
KEPT = 2  # rounds, fetched or not: a neighbour that is started again begins its round anew, and asks once more
Release = Callable[[Sequence[Message]], Mapping[int, bytes]]
BEHIND = 64  # rounds that a receiver may be behind, where links change or go one way


def question(run: str, position: int) -> bytes:
    """For the message at ``position`` of ``run``: ASCII, at most 32 characters."""
    return QUESTION.pack(run.encode(), position)


class Answer(IntEnum):
    """To the question for the message of an exchange."""

    MESSAGE = 0
    GONE = 1  # there is none, none any more, or the node has gone on without the one who asks
    NOT_YET = 2


class Found(NamedTuple):
    """An answer, the position that the one who gives it is at, and the message, encoded."""

    answer: Answer
    position: int
    message: bytes = b""

    def encode(self) -> bytes:
        """As it travels."""
        return HEAD.pack(self.answer, self.position) + self.message

    @classmethod
    def decode(cls, data: bytes) -> Found:
        """What `encode` was given.

        Raises:
            ValueError: nothing that it gave.
        """
        if len(data) < HEAD.size:
            raise ValueError(f"{len(data)} bytes")
        answer, position = HEAD.unpack_from(data)
        return cls(Answer(answer), position, data[HEAD.size :])


class Outbox:
    """The encoded messages of the last rounds, by position and receiver; safe to use from several threads.

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
        self._changed = threading.Condition()
        self._messages: dict[int, Mapping[int, bytes]] = {}
        self._release = release
        self._given_up: set[int] = set()
        self._closed = False
        self._positions, self._position = positions, position - 1  # the last one that was published
        for at, sent in groupby(before, lambda message: positions.of(message.round, message.exchange)):
            self._messages[at] = release(list(sent))
        # By receiver, the last position it fetched. Who needs the round before asks for it before anything else; most
        # have had it, and need not be waited for.
        self._had = dict.fromkeys({to for messages in self._messages.values() for to in messages}, self._position)

    def publish(self, position: int, messages: Iterable[Message]) -> None:
        """All messages of ``position`` are there."""
        released = self._release(list(messages))  # before anybody can see them, who need not wait for the disk
        with self._changed:
            self._messages[position] = released
            self._position = max(self._position, position)
            for old in [old for old in self._messages if self._rounds_ago(old) >= KEPT]:
                self._forget(old)
            self._changed.notify_all()

    def take(self, receiver: int, position: int, seconds: float) -> Found:
        """What ``receiver`` is to get of ``position``; waits until that is published, but not longer than that."""
        with self._changed:
            self._changed.wait_for(lambda: self._position >= position or self._closed, seconds)
            there = self._position >= position
            message = self._messages.get(position, {}).get(receiver)
            if message is None or (receiver in self._given_up and self._position > position):
                return Found(Answer.GONE if there else Answer.NOT_YET, self._position)
            self._had[receiver] = max(position, self._had.get(receiver, position))
            self._changed.notify_all()
            return Found(Answer.MESSAGE, self._position, message)

    def go_on_without(self, receiver: int) -> None:
        """The node has given up ``receiver``, and will say so when that asks."""
        with self._changed:
            self._given_up.add(receiver)

    def welcome(self, receiver: int) -> None:
        """Keep messages for a neighbour again that is heard once more."""
        with self._changed:
            self._given_up.discard(receiver)

    def wait_until_fetched(self, seconds: float) -> None:
        """Wait until everything has been fetched by those who are not given up, but not longer than that."""
        with self._changed:
            self._changed.wait_for(lambda: not any(map(self._wanted, self._messages)), seconds)

    def close(self) -> None:
        """Nothing more will be published: answer all who wait."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _wanted(self, position: int) -> bool:
        """Whether somebody has yet to fetch a message of ``position``."""
        receivers = self._messages[position].keys() - self._given_up
        return any(self._had.get(receiver, -1) < position for receiver in receivers)

    def _forget(self, position: int) -> None:
        """Nobody will ask for ``position`` any more, unless somebody has yet to fetch it."""
        if not self._wanted(position) or self._rounds_ago(position) >= BEHIND:
            del self._messages[position]

    def _rounds_ago(self, position: int) -> int:
        return self._positions.before(self._position) - self._positions.before(position)


def until(deadline: float) -> float:
    """Seconds until ``deadline`` on the monotonic clock, at least 0."""
    return max(0.0, deadline - time.monotonic())
