"""The way to one neighbour: it is asked for the message of an exchange, and not waited for longer than it deserves."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import grpc

from simulator.deployment.transport.certificates import Identity, name_of
from simulator.deployment.transport.expected import Expected
from simulator.deployment.transport.inspection import Refused, refusal
from simulator.deployment.transport.outbox import HEAD, METHOD, SERVICE, Answer, Found, question, until

PROBE = 1.0  # seconds for the answer of a neighbour that has been silent, which nobody waits for
GLANCE = 0.4  # seconds for an answer that is hardly waited for
AGAIN = 0.05  # seconds until a broken connection is tried again
CHANNEL = [("grpc.initial_reconnect_backoff_ms", 200), ("grpc.max_reconnect_backoff_ms", 1000)]
GRPC_LARGEST = 2**31 - 1  # bytes of a message
SILENT = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
UNWELCOME = (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.FAILED_PRECONDITION)
QUOTED = 200  # characters of what a neighbour says, at most


class TurnedAway(Refused):
    """A neighbour does not take this node for one of its own, or is in another run."""


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
        address: where it answers; its certificate must bear its name, wherever that is (`Identity.wanted`).
        run: both take part in.
        identity: of this node.
        patience: with it.
        expected: what neighbours may send; what is longer is refused before it is read.
        suspected: whether it is said to be away from the beginning.
    """

    def __init__(
        self,
        node: int,
        address: str,
        run: str,
        identity: Identity,
        patience: Patience,
        expected: Expected,
        suspected: bool = False,
    ) -> None:
        credentials = grpc.ssl_channel_credentials(identity.authority, identity.key, identity.certificate)
        limit = ("grpc.max_receive_message_length", min(HEAD.size + expected.largest[node], GRPC_LARGEST))
        options = [("grpc.ssl_target_name_override", identity.wanted(node)), limit, *CHANNEL]
        self._channel = grpc.secure_channel(address, credentials, options)
        self._fetch = self._channel.unary_unary(f"/{SERVICE}/{METHOD}")
        self._run, self._patience, self._positions = run, patience, expected.positions
        self._end = expected.rounds * expected.positions.exchanges
        self._probe: Probe | None = None
        self._in_vain = 0  # times that it has been waited for since it was heard
        self.node, self.address, self.known, self.suspected = node, address, False, suspected

    def ask(self, position: int, deadline: float) -> None:
        """Ask for the message of ``position``, at most until the deadline; of a suspected one that is back, only."""
        self._position = position
        self._asked = not self.suspected or self._is_back()
        if self._asked:
            wait, began = self._patience.round if self.known else self._patience.start, time.monotonic()
            wait /= 2**self._in_vain
            self._latest, self._deadline = min(began + 2 * wait, deadline), min(began + wait, deadline)
            self._call()

    def _call(self) -> None:
        seconds = until(self._deadline)
        self._answer = self._fetch.future(question(self._run, self._position), timeout=seconds, wait_for_ready=True)

    def answer(self) -> Found | None:
        """What it has answered to the last question; None if nothing, or if it was not asked.

        A connection that breaks in between is made again.

        Raises:
            Refused: the answer is none, or longer than any message.
            TurnedAway: it refuses to answer this node.
        """
        while self._asked:
            try:
                found = self._checked(Found.decode(self._answer.result()), self._position)
                if found.answer != Answer.NOT_YET:
                    self.known, self._in_vain = True, 0
                    return found
                self._deadline = self._latest
            except grpc.RpcError as error:
                if error.code() not in SILENT:
                    raise self._refused(error) from error
            except ValueError as error:
                raise self._refusal(f"is no answer to the question for it: {error}") from error
            if until(self._deadline) <= AGAIN:
                self.known, self._in_vain = True, self._in_vain + 1
                break
            time.sleep(AGAIN)
            self._call()
        return None

    def glance(self, position: int) -> Callable[[], Found | None]:
        """Ask for the message of ``position``; what is returned waits a moment for what it has, None if nothing."""
        call = self._fetch.future(question(self._run, position), timeout=GLANCE)
        return lambda: self._found(call, position)

    def _is_back(self) -> bool:
        """Whether a suspected one has answered since; asks it again where that is due, and does not wait."""
        back = self._probe is not None and self._probe.call.done() and self._near(self._probe)
        if back:
            self._probe = None
        elif self._probe is None or (self._probe.call.done() and time.monotonic() - self._probe.began > PROBE):
            call = self._fetch.future(question(self._run, self._position), timeout=PROBE)
            self._probe = Probe(self._position, time.monotonic(), call)
        return back

    def _near(self, probe: Probe) -> bool:
        """Whether it has answered, and was at most a round behind when it did."""
        found = self._found(probe.call, probe.position)
        return found is not None and found.position + 1 >= probe.position - self._positions.exchanges

    def _found(self, call: Any, position: int) -> Found | None:
        try:
            return self._checked(Found.decode(call.result()), position)
        except (grpc.RpcError, grpc.FutureCancelledError, ValueError):
            return None

    def _checked(self, found: Found, position: int) -> Found:
        """``found``, if one can be there who says so: else it could make the node wait, or sit out rounds."""
        there = found.position >= position
        if not -1 <= found.position < self._end or there != (found.answer != Answer.NOT_YET):
            asked, claimed = self._positions.named(position), self._positions.named(found.position)
            raise ValueError(f"asked for {asked}, it claims to be in {claimed}")
        return found

    def _refused(self, error: grpc.RpcError) -> Refused:
        said = repr(str(error.details())[:QUOTED])
        if error.code() in UNWELCOME:
            return TurnedAway(f"{name_of(self.node)} at {self.address} refuses this node: {said}.")
        return self._refusal(f"did not come, but {error.code().name}: {said}")

    def _refusal(self, what: str) -> Refused:
        round, exchange = self._positions.split(self._position)
        return refusal(self.node, round, what, exchange)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()
