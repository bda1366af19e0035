"""The way to one neighbour: it is asked for the message of an exchange, and not waited for longer than it deserves."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import grpc

from simulator.deployment.transport.box import Answer, Found, question, until
from simulator.deployment.transport.expected import Expected
from simulator.deployment.transport.inspection import Refused, refusal
from simulator.deployment.transport.line import QUOTED, SILENT, Line

PROBE = 1.0  # seconds for the answer of a neighbour that has been silent, which nobody waits for
GLANCE = 0.4  # seconds for an answer that is hardly waited for
AGAIN = 0.05  # seconds until a broken connection is tried again
UNWELCOME = (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.FAILED_PRECONDITION)
THERE = (Answer.MESSAGE, Answer.GONE)


class TurnedAway(Refused):
    """A neighbour does not take this node for one of its own, or is in another run."""


class Outage(Exception):
    """The mailbox that carries everything is out of reach, for longer than it is waited for."""


class Probe(NamedTuple):
    """A question that nobody waits for: what for, when it was put, and what will be its answer."""

    position: int
    began: float
    call: Any


@dataclass(frozen=True)
class Patience:
    """How long nodes wait for each other, in seconds.

    Attributes:
        start: for a neighbour that has not been heard since the phase began.
        round: for one that has; twice that if it says that it lives, for it may be waiting for a silent one itself.
            Half of it for one that has been waited for in vain, half of that the next time, until it sends something:
            one that lives and says nothing, whether it cannot or will not, costs four times that in all.
        tolerant: whether a round goes on without the message of a neighbour that stays silent.
    """

    start: float
    round: float
    tolerant: bool


class Neighbour:
    """The way to one neighbour; one that has been silent is suspected until it is heard again.

    A suspected one is not waited for: it is asked in the background, about once in `PROBE` seconds, and waited for like
    any other once it has answered and is at most a round behind; to train takes longer than an answer.

    Args:
        node: which one.
        line: to where its messages are fetched.
        run: both take part in.
        patience: with it.
        expected: what neighbours may send.
        carried: whether they are fetched from a mailbox, whose silence is not the neighbour's own: then its time begins
            anew.
        suspected: whether it is said to be away from the beginning.
    """

    def __init__(
        self,
        node: int,
        line: Line,
        run: str,
        patience: Patience,
        expected: Expected,
        carried: bool = False,
        suspected: bool = False,
    ) -> None:
        self._line, self._carried = line, carried
        self._run, self._patience, self._positions = run, patience, expected.positions
        self._end = expected.rounds * expected.positions.exchanges
        self._asker = ThreadPoolExecutor(1, f"question to {node}")  # gRPC itself would start a thread for each question
        self._probe: Probe | None = None
        self._in_vain = 0  # times that it has been waited for since it was heard
        self._cut_off: float | None = None  # since when the mailbox is out of reach
        self.node, self.known, self.suspected = node, False, suspected

    def __str__(self) -> str:
        return f"node {self.node}" if self._carried else f"node {self.node} at {self._line.address}"

    def ask(self, position: int, deadline: float) -> None:
        """Ask for the message of ``position``, at most until the deadline; of a suspected one that is back, only."""
        self._position = position
        self._asked = not self.suspected or self._is_back()
        if self._asked:
            self._limit = deadline
            self._wait()
            self._call(until(self._deadline))

    def _wait(self) -> None:
        """Its time begins."""
        wait, now = self._patience.round if self.known else self._patience.start, time.monotonic()
        wait /= 2**self._in_vain
        self._latest, self._deadline = min(now + 2 * wait, self._limit), min(now + wait, self._limit)

    def _call(self, seconds: float) -> None:
        asked = self._question(self._position)
        self._answer = self._asker.submit(self._line.fetch, asked, timeout=seconds, wait_for_ready=True)

    def _question(self, position: int, look: bool = False) -> bytes:
        return question(self._run, self.node, position, look)

    def answer(self) -> Found | None:
        """What it has answered to the last question; None if nothing, or if it was not asked.

        A connection that breaks in between is made again.

        Raises:
            Refused: the answer is none, or longer than any message.
            TurnedAway: it refuses to answer this node.
            Outage: the mailbox has been out of reach for as long as a neighbour is waited for at the start.
        """
        last = False
        while self._asked:
            answered = False
            try:
                found = self._checked(Found.decode(self._answer.result()), self._position)
                self._cut_off, answered = None, True
                if found.answer in THERE:
                    self.known, self._in_vain = True, 0
                    return found
                if found.answer == Answer.NOT_YET:
                    self._deadline = self._latest
            except grpc.RpcError as error:
                if error.code() not in SILENT:
                    raise self._refused(error) from error
                if self._carried:
                    self._bear_outage()
            except ValueError as error:
                raise self._refusal(f"is no answer to the question for it: {error}") from error
            over = until(self._deadline) <= AGAIN
            if over and (last or not answered):
                self.known, self._in_vain = True, self._in_vain + 1
                break
            last = over  # it may have sent something since it was asked, while others were waited for
            time.sleep(AGAIN)
            self._call(GLANCE if last else until(self._deadline))
        return None

    def _bear_outage(self) -> None:
        self._cut_off = self._cut_off or time.monotonic()
        if time.monotonic() - self._cut_off > self._patience.start:
            raise Outage
        self.known = False  # it has to come back to the mailbox, too
        self._wait()

    def glance(self, position: int) -> Callable[[], Found | None]:
        """Ask whether there is a message of ``position``; what is returned waits a moment for the answer, if any."""
        call = self._line.fetch.future(self._question(position, look=True), timeout=GLANCE)
        return lambda: self._found(call, position)

    def _is_back(self) -> bool:
        """Whether a suspected one has answered since; asks it again where that is due, and does not wait."""
        back = self._probe is not None and self._probe.call.done() and self._near(self._probe)
        if back:
            self._probe = None
        elif self._probe is None or (self._probe.call.done() and time.monotonic() - self._probe.began > PROBE):
            call = self._line.fetch.future(self._question(self._position, look=True), timeout=PROBE)
            self._probe = Probe(self._position, time.monotonic(), call)
        return back

    def _near(self, probe: Probe) -> bool:
        """Whether it has answered, and was at most a round behind when it did."""
        found = self._found(probe.call, probe.position)
        return found is not None and found.position + 1 >= probe.position - self._positions.exchanges

    def _found(self, call: Any, position: int) -> Found | None:
        """What it has answered; None if nothing, as where it is absent."""
        try:
            found = self._checked(Found.decode(call.result()), position)
            return None if found.answer == Answer.ABSENT else found
        except (grpc.RpcError, grpc.FutureCancelledError, ValueError):
            return None

    def _checked(self, found: Found, position: int) -> Found:
        """``found``, if one can be there who says so: else it could make the node wait, or sit out rounds."""
        there = found.position >= position
        if not -1 <= found.position < self._end or there != (found.answer in THERE):
            asked, claimed = self._positions.named(position), self._positions.named(found.position)
            raise ValueError(f"asked for {asked}, it claims to be in {claimed}")
        return found

    def _refused(self, error: grpc.RpcError) -> Refused:
        said = repr(str(error.details())[:QUOTED])
        if error.code() in UNWELCOME:
            return TurnedAway(f"{self._line} refuses this node: {said}.")
        return self._refusal(f"did not come, but {error.code().name}: {said}")

    def _refusal(self, what: str) -> Refused:
        round, exchange = self._positions.split(self._position)
        return refusal(self.node, round, what, exchange)
