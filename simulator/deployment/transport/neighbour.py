"""The way to one neighbour: it is asked for the message of an exchange, and not waited for longer than it deserves."""

from __future__ import annotations

import time
from dataclasses import dataclass

import grpc

from simulator.deployment.transport.certificates import Identity, name_of
from simulator.deployment.transport.expected import Expected
from simulator.deployment.transport.inspection import Refused, refusal
from simulator.deployment.transport.outbox import HEAD, METHOD, SERVICE, Answer, Found, question, until

PROBE = 1.0  # seconds for a neighbour that has been silent: it is asked every round whether it is back
AGAIN = 0.05  # seconds until a broken connection is tried again
CHANNEL = [("grpc.initial_reconnect_backoff_ms", 200), ("grpc.max_reconnect_backoff_ms", 1000)]
GRPC_LARGEST = 2**31 - 1  # bytes of a message
SILENT = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
UNWELCOME = (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.FAILED_PRECONDITION)
QUOTED = 200  # characters of what a neighbour says, at most


class TurnedAway(Refused):
    """A neighbour does not take this node for one of its own, or is in another run."""


@dataclass(frozen=True)
class Patience:
    """How long nodes wait for each other, in seconds.

    Attributes:
        start: for a neighbour that has not been heard since the phase began.
        round: for one that has; twice that if it says that it lives, for it may be waiting for a silent one itself.
        tolerant: whether a round goes on without the message of a neighbour that stays silent.
    """

    start: float
    round: float
    tolerant: bool


class Neighbour:
    """The way to one neighbour; one that has been silent is suspected until it is heard again.

    Args:
        node: which one.
        address: where it answers; its certificate must bear its name, wherever that is.
        run: both take part in.
        identity: of this node.
        patience: with it.
        expected: what neighbours may send; what is longer is refused before it is read.
    """

    def __init__(
        self, node: int, address: str, run: str, identity: Identity, patience: Patience, expected: Expected
    ) -> None:
        credentials = grpc.ssl_channel_credentials(identity.authority, identity.key, identity.certificate)
        limit = ("grpc.max_receive_message_length", min(HEAD.size + expected.largest[node], GRPC_LARGEST))
        options = [("grpc.ssl_target_name_override", name_of(node)), limit, *CHANNEL]
        self._channel = grpc.secure_channel(address, credentials, options)
        self._fetch = self._channel.unary_unary(f"/{SERVICE}/{METHOD}")
        self._run, self._patience, self._positions = run, patience, expected.positions
        self._end = expected.rounds * expected.positions.exchanges
        self.node, self.address, self.known, self.suspected = node, address, False, False

    def ask(self, position: int, deadline: float) -> None:
        """Ask for the message of ``position``, at most until the deadline, or less long if it has been silent."""
        wait, began = self._patience.round if self.known else self._patience.start, time.monotonic()
        self._position, self._latest = position, min(began + 2 * wait, deadline)
        self._deadline = min(began + (PROBE if self.suspected else wait), deadline)
        self._call()

    def _call(self) -> None:
        seconds, patient = until(self._deadline), not self.suspected
        self._answer = self._fetch.future(question(self._run, self._position), timeout=seconds, wait_for_ready=patient)

    def answer(self) -> Found | None:
        """What it has answered to the last question; None if nothing.

        A connection that breaks in between is made again, unless the neighbour is suspected already. A suspected one
        that is back, and at most a round behind, is waited for like any other: to train takes longer than a probe.

        Raises:
            Refused: the answer is none, or longer than any message.
            TurnedAway: it refuses to answer this node.
        """
        patient = not self.suspected
        while True:
            try:
                found = self._checked(Found.decode(self._answer.result()))
                if found.answer != Answer.NOT_YET:
                    self.known = True
                    return found
                patient |= found.position + 1 >= self._position - self._positions.exchanges
                self._deadline = self._latest
            except grpc.RpcError as error:
                if error.code() not in SILENT:
                    raise self._refused(error) from error
                patient = not self.suspected
            except ValueError as error:
                raise self._refusal(f"is no answer to the question for it: {error}") from error
            if not patient or until(self._deadline) <= AGAIN:
                return None
            time.sleep(AGAIN)
            self._call()

    def _checked(self, found: Found) -> Found:
        """``found``, if one can be there who says so: else it could make the node wait, or sit out rounds."""
        there = found.position >= self._position
        if not -1 <= found.position < self._end or there != (found.answer != Answer.NOT_YET):
            asked, claimed = self._positions.named(self._position), self._positions.named(found.position)
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
