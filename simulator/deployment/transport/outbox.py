"""What a node has sent and its neighbours have yet to fetch, and what they ask and are answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from enum import IntEnum
from struct import Struct
from typing import NamedTuple

from simulator.core.message import Message

SERVICE, METHOD = "rumormill.Gossip", "Fetch"
QUESTION = Struct("<32sq")  # run and round
HEAD = Struct("<Bq")
KEPT = 2  # rounds, fetched or not: a neighbour that is started again asks once more
BEHIND = 64  # rounds that a receiver may be behind, where links change or go one way


def question(run: str, round: int) -> bytes:
    """For the message of ``round`` of ``run``: ASCII, at most 32 characters."""
    return QUESTION.pack(run.encode(), round)


class Answer(IntEnum):
    """To the question for the message of a round."""

    MESSAGE = 0
    GONE = 1  # there is none, none any more, or the node has gone on without the one who asks
    NOT_YET = 2


class Found(NamedTuple):
    """An answer, the round that the one who gives it is in, and the message, encoded."""

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
    """The encoded messages of the last rounds, by round and receiver; safe to use from several threads.

    Args:
        round: the one that is sent next.
        before: what was sent in the round before it, which may have been before this process began.
    """

    def __init__(self, round: int, before: Iterable[Message] = ()) -> None:
        self._changed = threading.Condition()
        self._messages: dict[int, dict[int, bytes]] = {}
        self._had: dict[int, int] = {}  # by receiver, the last round it fetched
        self._given_up: set[int] = set()
        self._closed = False
        self._position = round - 1  # the last round that was published
        self.publish(round - 1, before)
        # Who needs these asks before anything else; most have had them, and need not be waited for.
        self._had = dict.fromkeys(self._messages[round - 1], round - 1)

    def publish(self, round: int, messages: Iterable[Message]) -> None:
        """All messages of ``round`` are there."""
        with self._changed:
            self._messages[round] = {message.receiver: message.encode() for message in messages}
            self._position = max(self._position, round)
            for old in [old for old in self._messages if old <= self._position - KEPT]:
                self._forget(old)
            self._changed.notify_all()

    def take(self, receiver: int, round: int, seconds: float) -> Found:
        """What ``receiver`` is to get of ``round``; waits until the round is published, but not longer than that."""
        with self._changed:
            self._changed.wait_for(lambda: self._position >= round or self._closed, seconds)
            there = self._position >= round
            message = self._messages.get(round, {}).get(receiver)
            if message is None or (receiver in self._given_up and self._position > round):
                return Found(Answer.GONE if there else Answer.NOT_YET, self._position)
            self._had[receiver] = max(round, self._had.get(receiver, round))
            self._changed.notify_all()
            return Found(Answer.MESSAGE, self._position, message)

    def go_on_without(self, receiver: int) -> None:
        """The node has given up ``receiver``, and will say so when that asks."""
        with self._changed:
            self._given_up.add(receiver)

    def welcome(self, receiver: int) -> None:
        """It is back."""
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

    def _wanted(self, round: int) -> bool:
        """Whether somebody has yet to fetch a message of ``round``."""
        receivers = self._messages[round].keys() - self._given_up
        return any(self._had.get(receiver, -1) < round for receiver in receivers)

    def _forget(self, round: int) -> None:
        """Nobody will ask for ``round`` any more, unless somebody has yet to fetch it."""
        if not self._wanted(round) or round <= self._position - BEHIND:
            del self._messages[round]


def until(deadline: float) -> float:
    """Seconds until ``deadline`` on the monotonic clock, at least 0."""
    return max(0.0, deadline - time.monotonic())
