"""What brings a node's letters to a mailbox, in the background, and brings them again where that has forgotten them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from typing import Any

import grpc

from simulator.core.errors import RunError
from simulator.deployment.transport.box import Box, question
from simulator.deployment.transport.door import PUTTING
from simulator.deployment.transport.line import PASSING, QUOTED, Line
from simulator.deployment.transport.neighbour import AGAIN
from simulator.deployment.transport.parcel import Head, Progress, parcel

WATCH = 10.0  # seconds for which one question after the fate of one's letters is left open
LEAVE = 2.0  # seconds for the last ones to be put


class Post:
    """Puts all that is in an outbox into a mailbox, for as long as it is open.

    A question is left open there all the while: what has been fetched need not be kept, who has no question open is
    taken for absent, and a mailbox that was started again says so at once.

    Args:
        node: whose.
        run: it takes part in.
        outbox: its letters.
        line: to the mailbox.
        receivers: whose letters are put there.
        greet: called where the mailbox knows nothing of the node, before anything is put.
    """

    def __init__(
        self,
        node: int,
        run: str,
        outbox: Box,
        line: Line,
        receivers: Collection[int],
        greet: Callable[[], None] = lambda: None,
    ) -> None:
        self._node, self._run, self._outbox, self._line, self._greet = node, run, outbox, line, greet
        self._receivers = frozenset(receivers)
        self._put_until: int | None = None  # the position; None: the mailbox is to be given everything
        self._version = 0
        self._watching: Any = None
        self._closing = self._over = False
        self._refusal = ""
        self._thread = threading.Thread(target=self._carry, name=f"post of node {node}", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Whether the mailbox takes what it is given.

        Raises:
            RunError: it does not.
        """
        if self._refusal:
            raise RunError(f"{self._line} does not take what node {self._node} sends: {self._refusal}.")

    def close(self) -> None:
        """End, once the last letters have been put."""
        self._closing = True
        self._outbox.touch()
        self._thread.join(LEAVE)
        self._over = True
        if self._watching is not None:
            self._watching.cancel()

    def _carry(self) -> None:
        while not (self._refusal or self._over or (self._closing and self._put_until == self._outbox.position)):
            try:
                self._go_on()
            except grpc.RpcError as error:
                self._watching = None
                if error.code() not in PASSING:
                    self._refusal = repr(str(error.details())[:QUOTED])
                    print(f"{self._line} does not take what node {self._node} sends: {self._refusal}", flush=True)
                time.sleep(AGAIN)
            except (ValueError, grpc.FutureCancelledError):
                self._watching = None
                time.sleep(AGAIN)

    def _go_on(self) -> None:
        """Put what is new, or learn what has been fetched; else wait for one of both."""
        if self._put_until != self._outbox.position:
            self._put()
        elif self._watching is None:
            version = question(self._run, self._node, self._version)
            self._watching = self._line.fetched.future(version, timeout=WATCH, wait_for_ready=True)
            self._watching.add_done_callback(lambda _: self._outbox.touch())
        elif self._watching.done():
            answer, self._watching = self._watching.result(), None
            self._learn(Progress.decode(answer))
        else:
            self._outbox.wait_for(self._is_something_to_do, WATCH)

    def _is_something_to_do(self) -> bool:
        return self._watching.done() or self._closing or self._put_until != self._outbox.position

    def _put(self) -> None:
        if self._put_until is None:
            self._greet()
        held = self._outbox.held(self._put_until)
        head = Head(
            run=self._run,
            sender=self._node,
            position=held.position,
            whole=self._put_until is None,
            given_up=sorted(held.given_up & self._receivers),
            letters=[
                (at, to, len(letter))
                for at, sent in held.letters.items()
                for to, letter in sent.items()
                if to in self._receivers
            ],
            fetched=[(to, at) for to, at in held.fetched.items() if to in self._receivers],
        )
        answer = self._line.put(parcel(head, held.letters), timeout=PUTTING, wait_for_ready=True)
        self._put_until = held.position
        self._learn(Progress.decode(answer))

    def _learn(self, progress: Progress) -> None:
        if not progress.known:
            self._put_until = None
            return
        self._version = progress.version
        self._outbox.learn(progress.fetched)
