"""A port where letters are put and fetched: of a mailbox for all nodes, or of one node, for itself and its neighbours.

Letters are in memory alone. A mailbox that was started again knows of nobody, says so, and is given again what is still
needed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator
from typing import NamedTuple

import grpc
from pydantic import ValidationError

from simulator.deployment.transport.box import BEHIND, KEPT, QUESTION, Answer, Box, Found, Letters, asked, until
from simulator.deployment.transport.certificates import Identity, name_of
from simulator.deployment.transport.door import FETCH, FETCHED, GREET, PUT, Door, Pins, Unwelcome
from simulator.deployment.transport.parcel import HEAD_LARGEST, Answered, Head, Hello, Progress
from simulator.deployment.transport.positions import Positions

TURNS, TURNS_OF_LINKS = 6, 4  # questions of a node at once, beside those for each neighbour; half of them may be stale
ROOM = 2**30  # bytes that are kept of a sender for receivers that fetch nothing, beside its last rounds


class Own(NamedTuple):
    """What a node that answers at its own port has there itself: its number, its run and what it sends."""

    node: int
    run: str
    outbox: Box


class Mailbox:
    """Answers nodes at one port.

    It knows who puts something for whom, when, and how long that is. A node puts as itself, to its neighbours, and
    fetches what is for itself; of each sender there are the last rounds of one run.

    Args:
        identity: of the mailbox.
        address: where it listens.
        links: who sends to whom, as (sender, receiver).
        largest: bytes of the longest letter that is put; 0 where none is.
        positions: how many exchanges a round has.
        own: where the port is a node's, what that has there itself; who is in another run is turned away.
        pins: see `Door`.

    Raises:
        InputError: the address is in use, or is none of this machine's.
    """

    def __init__(
        self,
        identity: Identity,
        address: str,
        links: Collection[tuple[int, int]],
        largest: int,
        positions: Positions,
        own: Own | None = None,
        pins: Pins = None,
    ) -> None:
        self._links, self._largest, self._positions = frozenset(links), largest, positions
        self._own = own
        self._boxes: dict[int, tuple[str, Box]] = {own.node: own[1:]} if own else {}  # by sender, with its run
        self._greetings: dict[int, tuple[str, dict[int, str]]] = {}  # by sender, with its run, and receiver
        self._begun, self._closing = threading.Condition(), False  # there is another box or greeting, or it closes
        verbs = {FETCH: self._fetch, PUT: self._put, FETCHED: self._fetched, GREET: self._greet}
        turns = {node: TURNS + TURNS_OF_LINKS * self._senders_to(node) for link in links for node in link}
        most = max(largest, HEAD_LARGEST) if largest else QUESTION.size
        self._door = Door(identity, address, turns, verbs, most, pins, "node.yaml" if own else "mailbox.yaml")

    def close(self) -> None:
        """Take no more questions; answers under way arrive."""
        with self._begun:
            self._closing = True
            self._begun.notify_all()
            for _, box in self._boxes.values():
                box.close()
        self._door.stop()

    def _senders_to(self, node: int) -> int:
        return sum(receiver == node for _, receiver in self._links)

    def _fetch(self, node: int, question: bytes, more: Iterator[bytes], seconds: float) -> bytes:
        run, sender, position, look = _asked(node, question)
        if (sender, node) not in self._links:
            what = f"{name_of(node)} asks for what {name_of(sender)} sends, which is no neighbour of it"
            raise Unwelcome(grpc.StatusCode.PERMISSION_DENIED, what)
        if self._own and sender == self._own.node:
            if run != self._own.run:
                raise Unwelcome(grpc.StatusCode.FAILED_PRECONDITION, f"it takes part in run {self._own.run}")
            return self._own.outbox.take(node, position, seconds, look).encode()
        deadline = time.monotonic() + seconds
        with self._begun:
            self._begun.wait_for(lambda: self._closing or self._box(sender, run) is not None, seconds)
            box = self._box(sender, run)
        found = box.take(node, position, until(deadline), look) if box else Found(Answer.NOT_YET, -1)
        if found.answer == Answer.NOT_YET and sender not in self._door.present:
            found = found._replace(answer=Answer.ABSENT)
        return found.encode()

    def _put(self, node: int, question: bytes, more: Iterator[bytes], seconds: float) -> bytes:
        try:
            head = Head.model_validate_json(question)
        except ValidationError as error:
            what = f"{name_of(node)} puts what is nothing"
            raise Unwelcome(grpc.StatusCode.INVALID_ARGUMENT, what) from error
        self._check(node, head)
        letters = _read(node, head, more, self._behind(node) * self._positions.exchanges)
        with self._begun:
            box = self._box(node, head.run)
            if box is None and not head.whole:
                return Progress(known=False).encode()
            if box is None:
                box = Box(head.position, self._positions, self._behind(node))
                box.learn(dict(head.fetched))
                box.add(head.position, letters, head.given_up)
                self._boxes[node] = head.run, box
                self._begun.notify_all()
            else:
                box.add(head.position, letters, head.given_up)
        return _progress(box)

    def _fetched(self, node: int, question: bytes, more: Iterator[bytes], seconds: float) -> bytes:
        run, sender, version, _ = _asked(node, question)
        if sender != node:
            what = f"{name_of(node)} asks as {name_of(sender)}"
            raise Unwelcome(grpc.StatusCode.PERMISSION_DENIED, what)
        if (box := self._box(node, run)) is None:
            return Progress(known=False).encode()
        box.wait_for(lambda: self._closing or (box.all_fetched and box.version != version), seconds)
        return _progress(box)

    def _greet(self, node: int, question: bytes, more: Iterator[bytes], seconds: float) -> bytes:
        try:
            hello = Hello.model_validate_json(question)
        except ValidationError as error:
            what = f"{name_of(node)} greets with what is nothing"
            raise Unwelcome(grpc.StatusCode.INVALID_ARGUMENT, what) from error
        if hello.sender != node:
            what = f"{name_of(node)} greets as {name_of(hello.sender)}"
            raise Unwelcome(grpc.StatusCode.PERMISSION_DENIED, what)
        for receiver, _ in hello.greetings:
            if not {(node, receiver), (receiver, node)} & self._links:
                what = f"{name_of(node)} greets {name_of(receiver)}, which is no neighbour of it"
                raise Unwelcome(grpc.StatusCode.PERMISSION_DENIED, what)
        with self._begun:
            self._greetings[node] = hello.run, dict(hello.greetings)
            self._begun.notify_all()
            self._begun.wait_for(lambda: self._closing or self._greeted(node, hello.run) >= set(hello.wanted), seconds)
            found = [(other, self._greetings[other][1][node]) for other in sorted(self._greeted(node, hello.run))]
        return Answered(greetings=found).model_dump_json().encode()

    def _greeted(self, node: int, run: str) -> set[int]:
        """Who has greeted ``node`` in that run."""
        return {other for other, (of, texts) in self._greetings.items() if of == run and node in texts}

    def _box(self, sender: int, run: str) -> Box | None:
        known, box = self._boxes.get(sender, ("", None))
        return box if known == run else None

    def _behind(self, sender: int) -> int:
        """Rounds that are kept of ``sender`` for who fetches nothing: as many as there is room for."""
        receivers = sum(each == sender for each, _ in self._links)
        of_a_round = max(1, self._largest * receivers * self._positions.exchanges)
        return max(KEPT, min(BEHIND, ROOM // of_a_round))

    def _check(self, node: int, head: Head) -> None:
        """Refuse what a node may not put, before any of it is read."""
        if head.sender != node:
            what = f"{name_of(node)} puts as {name_of(head.sender)}"
            raise Unwelcome(grpc.StatusCode.PERMISSION_DENIED, what)
        if len({letter[:2] for letter in head.letters}) < len(head.letters):
            raise Unwelcome(grpc.StatusCode.INVALID_ARGUMENT, f"{name_of(node)} puts two letters in one place")
        for position, receiver, length in head.letters:
            to = f"{name_of(node)} writes to {name_of(receiver)}"
            if (node, receiver) not in self._links:
                raise Unwelcome(grpc.StatusCode.PERMISSION_DENIED, f"{to}, which fetches nothing of it here")
            if length > self._largest:
                what = f"{to} {length:,} bytes, and no message has more than {self._largest:,}"
                raise Unwelcome(grpc.StatusCode.INVALID_ARGUMENT, what)
            if not 0 <= head.position - position < BEHIND * self._positions.exchanges:
                what = f"{to} at position {position}, and is at {head.position}"
                raise Unwelcome(grpc.StatusCode.INVALID_ARGUMENT, what)


def _asked(node: int, question: bytes) -> tuple[str, int, int, bool]:
    try:
        return asked(question)
    except ValueError as error:
        raise Unwelcome(grpc.StatusCode.INVALID_ARGUMENT, f"{name_of(node)} asks nothing") from error


def _read(node: int, head: Head, more: Iterator[bytes], kept: int) -> Letters:
    """The letters that follow their ``head``, but for those that are too old to be ``kept``."""
    letters: dict[int, dict[int, bytes]] = {}
    for position, receiver, length in head.letters:
        letter = next(more, b"")
        if len(letter) != length:
            what = f"{name_of(node)} puts {len(letter):,} bytes where {length:,} were to come"
            raise Unwelcome(grpc.StatusCode.INVALID_ARGUMENT, what)
        if head.position - position < kept:
            letters.setdefault(position, {})[receiver] = letter
    return letters


def _progress(box: Box) -> bytes:
    return Progress(True, box.version, box.held().fetched).encode()
