"""What one node has sent and its neighbours have yet to fetch, as bytes; what they ask for it and are answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum
from struct import Struct
from typing import NamedTuple

from simulator.deployment.transport.positions import ONCE, Positions

QUESTION = Struct("<32sqq?")  # run, sender, position, and whether it only looks
HEAD = Struct("<Bq")
KEPT = 2  # rounds, fetched or not: a neighbour that is started again begins its round anew, and asks once more
BEHIND = 64  # rounds that a receiver may be behind, where links change or go one way
Letters = Mapping[int, Mapping[int, bytes]]  # by position and receiver


def question(run: str, sender: int, position: int, look: bool = False) -> bytes:
    """For what ``sender`` has sent at ``position`` of ``run``: ASCII, at most 32 characters.

    One that only looks is answered without the message, and does not count as having fetched it.
    """
    return QUESTION.pack(run.encode(), sender, position, look)


def asked(data: bytes) -> tuple[str, int, int, bool]:
    """Run, sender and position of a `question`, and whether it only looks.

    Raises:
        ValueError: it is none.
    """
    if len(data) != QUESTION.size:
        raise ValueError(f"{len(data)} bytes")
    run, sender, position, look = QUESTION.unpack(data)
    return run.rstrip(b"\0").decode(errors="replace"), sender, position, look


class Answer(IntEnum):
    """To the question for the message of an exchange."""

    MESSAGE = 0
    GONE = 1  # there is none, none any more, or the node has gone on without the one who asks
    NOT_YET = 2
    ABSENT = 3  # not yet, and its sender is not there: a mailbox says so, which is not the sender itself


class Found(NamedTuple):
    """An answer, the position that the sender is at, and the message, encoded."""

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


class Held(NamedTuple):
    """What a `Box` holds.

    The last position that was sent, letters, whom the sender has given up, and who has been answered for what.
    """

    position: int
    letters: Letters
    given_up: frozenset[int]
    fetched: Mapping[int, int]


class Box:
    """The letters of one sender's last rounds, by position and receiver; safe to use from several threads.

    Args:
        position: the last one that was sent.
        positions: how many exchanges a round has.
        behind: rounds for which letters are kept that nobody fetches.
    """

    def __init__(self, position: int, positions: Positions = ONCE, behind: int = BEHIND) -> None:
        self._changed = threading.Condition()
        self._letters: dict[int, Mapping[int, bytes]] = {}
        self._askers: dict[int, frozenset[int]] = {}  # by position, beside those whom there is a letter for
        self._had: dict[int, int] = {}  # by receiver, the last position that it was answered for
        self._given_up: frozenset[int] = frozenset()
        self._closed, self._version = False, 0
        self._positions, self._position, self._behind = positions, position, behind

    @property
    def position(self) -> int:
        """The last one that was sent."""
        return self._position

    @property
    def version(self) -> int:
        """Another number whenever something has been fetched."""
        return self._version

    @property
    def all_fetched(self) -> bool:
        """Whether everything has been fetched by those who are not given up."""
        with self._changed:
            return not any(map(self._wanted, self._letters.keys() | self._askers.keys()))

    def held(self, after: int | None = None) -> Held:
        """What is there; letters only of positions ``after`` one."""
        with self._changed:
            there = {at: letters for at, letters in sorted(self._letters.items()) if after is None or at > after}
            return Held(self._position, there, self._given_up, dict(self._had))

    def add(
        self, position: int, letters: Letters, given_up: Iterable[int] | None = None, askers: Iterable[int] = ()
    ) -> None:
        """All letters up to ``position`` are there, those of several positions at once for whoever asks.

        That there is none for them at ``position`` has to be told to ``askers`` as letters have to be fetched.
        """
        with self._changed:
            self._given_up = self._given_up if given_up is None else frozenset(given_up)
            for at, sent in letters.items():
                self._letters[at] = {**self._letters.get(at, {}), **sent}
            self._askers[position] = frozenset(askers)
            self._position = max(self._position, position)
            self._forget()
            self._changed.notify_all()

    def take(self, receiver: int, position: int, seconds: float, look: bool = False) -> Found:
        """What ``receiver`` is to get of ``position``; waits until that has been sent, but not longer than that."""
        with self._changed:
            self._changed.wait_for(lambda: self._position >= position or self._closed, seconds)
            there = self._position >= position
            if there and not look:
                self._had[receiver] = max(position, self._had.get(receiver, position))
                self._version += 1
                self._changed.notify_all()
            letter = self._letters.get(position, {}).get(receiver)
            if letter is None or (receiver in self._given_up and self._position > position):
                return Found(Answer.GONE if there else Answer.NOT_YET, self._position)
            return Found(Answer.MESSAGE, self._position, b"" if look else letter)

    def learn(self, fetched: Mapping[int, int]) -> None:
        """Somebody else has handed out letters up to these positions, by receiver."""
        with self._changed:
            for receiver, position in fetched.items():
                self._had[receiver] = max(position, self._had.get(receiver, position))
            self._forget()
            self._changed.notify_all()

    def go_on_without(self, receiver: int) -> None:
        """The node has given up ``receiver``, and will say so when that asks."""
        with self._changed:
            self._given_up |= {receiver}

    def welcome(self, receiver: int) -> None:
        """Keep messages for a neighbour again that is heard once more."""
        with self._changed:
            self._given_up -= {receiver}

    def wait_until_fetched(self, seconds: float) -> None:
        """Wait until everything has been fetched by those who are not given up, but not longer than that."""
        self.wait_for(lambda: self.all_fetched, seconds)

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait until ``condition`` holds, which is looked at after every change, but not longer than that."""
        with self._changed:
            self._changed.wait_for(condition, seconds)

    def touch(self) -> None:
        """Have all who wait look again."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Nothing more will be sent: answer all who wait."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _wanted(self, position: int) -> bool:
        """Whether somebody has yet to be answered for ``position``."""
        receivers = self._letters.get(position, {}).keys() | self._askers.get(position, frozenset())
        return any(self._had.get(receiver, -1) < position for receiver in receivers - self._given_up)

    def _forget(self) -> None:
        """Nobody will ask for what is old any more, unless somebody has yet to fetch it."""
        for position in list(self._letters.keys() | self._askers.keys()):
            ago = self._positions.before(self._position) - self._positions.before(position)
            if ago >= KEPT and (not self._wanted(position) or ago >= self._behind):
                self._letters.pop(position, None)
                self._askers.pop(position, None)


def until(deadline: float) -> float:
    """Seconds until ``deadline`` on the monotonic clock, at least 0."""
    return max(0.0, deadline - time.monotonic())
