"""Where neighbours fetch a node's messages, over TLS in which both ends show a certificate."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import grpc

from simulator.deployment.transport.box import QUESTION, Box, asked
from simulator.deployment.transport.certificates import Identity, name_of
from simulator.deployment.transport.door import FETCH, Door, Pins, Unwelcome

TURNS = 2  # questions of one neighbour at once: one may wait while an earlier one has not been given up yet


class Server:
    """Answers the neighbours, where they are in the same ``run``.

    Args:
        identity: of this node.
        address: where it listens.
        neighbours: who may ask.
        run: the name of the run.
        outbox: what there is to fetch.
        pins: see `Door`.

    Raises:
        InputError: the address is in use, or is none of this machine's.
    """

    def __init__(
        self,
        identity: Identity,
        address: str,
        neighbours: Collection[int],
        run: str,
        outbox: Box,
        pins: Pins = None,
    ) -> None:
        self._run, self._outbox = run, outbox
        turns = dict.fromkeys(neighbours, TURNS)
        self._door = Door(identity, address, turns, {FETCH: self._fetch}, QUESTION.size, pins)

    def check(self) -> None:
        """Nothing ends it but `close`."""

    def close(self) -> None:
        """Take no more questions; answers under way arrive."""
        self._outbox.close()
        self._door.stop()

    def _fetch(self, node: int, question: bytes, more: Iterator[bytes], seconds: float) -> bytes:
        try:
            run, _, position = asked(question)
        except ValueError as error:
            raise Unwelcome(grpc.StatusCode.INVALID_ARGUMENT, f"{name_of(node)} asks nothing") from error
        if run != self._run:
            raise Unwelcome(grpc.StatusCode.FAILED_PRECONDITION, f"it takes part in run {self._run}")
        return self._outbox.take(node, position, seconds).encode()
