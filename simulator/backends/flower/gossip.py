"""The plane p2p: nodes fetch each other's messages directly, over gRPC with TLS at both ends."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import grpc

from simulator.backends.flower.certificates import Identity, name_of
from simulator.backends.flower.outbox import METHOD, SERVICE, Answer, Found, Outbox, Server, question, until
from simulator.backends.flower.peer import Peer
from simulator.core.errors import RunError
from simulator.core.message import Message

PROBE = 1.0  # seconds for a neighbour that has been silent: it is asked every round whether it is back
AGAIN = 0.05  # seconds until a broken connection is tried again
CHANNEL = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1000),
]
SILENT = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)


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


class Heard(NamedTuple):
    """The messages of a round, those who have sent none, and the furthest round of one that went on without them."""

    messages: list[Message]
    lost: list[int]
    furthest: int


class Neighbour:
    """The way to one neighbour; one that has been silent is suspected until it is heard again."""

    def __init__(self, node: int, address: str, run: str, identity: Identity, patience: Patience) -> None:
        credentials = grpc.ssl_channel_credentials(identity.authority, identity.key, identity.certificate)
        # Its certificate must bear its name, wherever it is.
        options = [("grpc.ssl_target_name_override", name_of(node)), *CHANNEL]
        self._channel = grpc.secure_channel(address, credentials, options)
        self._fetch = self._channel.unary_unary(f"/{SERVICE}/{METHOD}")
        self._run, self._patience = run, patience
        self.node, self.address, self.known, self.suspected = node, address, False, False

    def ask(self, round: int, deadline: float) -> None:
        """Ask for the message of ``round``, at most until the deadline, or less long if it has been silent."""
        wait, began = self._patience.round if self.known else self._patience.start, time.monotonic()
        self._round, self._latest = round, min(began + 2 * wait, deadline)
        self._deadline = min(began + (PROBE if self.suspected else wait), deadline)
        self._call()

    def _call(self) -> None:
        seconds, patient = until(self._deadline), not self.suspected
        self._answer = self._fetch.future(question(self._run, self._round), timeout=seconds, wait_for_ready=patient)

    def answer(self) -> Found | None:
        """What it has answered to the last question; None if nothing.

        A connection that breaks in between is made again, unless the neighbour is suspected already. A suspected one
        that is back, and at most a round behind, is waited for like any other: to train takes longer than a probe.

        Raises:
            RunError: it refuses to answer.
        """
        patient = not self.suspected
        while True:
            try:
                found = Found.decode(self._answer.result())
                if found.answer != Answer.NOT_YET:
                    self.known = True
                    return found
                patient |= found.position >= self._round - 2
                self._deadline = self._latest
            except grpc.RpcError as error:
                if error.code() not in SILENT:
                    raise self._refused(error) from error
                patient = not self.suspected
            if not patient or until(self._deadline) <= AGAIN:
                return None
            time.sleep(AGAIN)
            self._call()

    def _refused(self, error: grpc.RpcError) -> RunError:
        what = f"{name_of(self.node)} at {self.address} refuses this node: {error.details()}."
        return RunError(f"{what}\n    Both need the certificates and the topology of one deployment, and its only run.")

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()


class Neighbours:
    """A node's server and its ways to all neighbours.

    Raises:
        InputError: its own address cannot be used.
    """

    def __init__(
        self,
        node: int,
        run: str,
        outbox: Outbox,
        listen: str,
        addresses: Mapping[int, str],
        identity: Identity,
        patience: Patience,
    ) -> None:
        self._node, self._patience = node, patience
        self.outbox = outbox
        self._server = Server(identity, listen, list(addresses), run, self.outbox)
        self._ways = {to: Neighbour(to, address, run, identity, patience) for to, address in addresses.items()}

    def hear(self, round: int, senders: Collection[int], deadline: float) -> Heard | None:
        """Fetch the messages of ``round``; None if the deadline comes first.

        Raises:
            RunError: a neighbour is silent and its message needed, or what it sends is not that message.
        """
        ways = [self._ways[sender] for sender in sorted(senders)]
        for way in ways:
            way.ask(round, deadline)
        messages, lost, furthest = list[Message](), list[int](), round
        for way in ways:
            found = way.answer()
            if found is None and time.monotonic() >= deadline:
                return None
            if found is not None and found.answer == Answer.MESSAGE:
                messages.append(self._checked(found.message, way.node, round))
            else:
                lost.append(way.node)
                self._miss(way, round)
                furthest = max(furthest, found.position if found else 0)
            self._judge(way, silent=found is None, round=round)
        return Heard(messages, lost, furthest)

    def linger(self, deadline: float) -> None:
        """Stay until those who have not been given up have fetched all that they were sent."""
        self.outbox.wait_until_fetched(min(self._patience.round, until(deadline)))

    def close(self) -> None:
        """End the server and all connections."""
        self._server.stop()
        for way in self._ways.values():
            way.close()

    def _checked(self, data: bytes, sender: int, round: int) -> Message:
        try:
            message = Message.decode(data)
        except ValueError as error:
            raise RunError(f"{name_of(sender)} has sent something else than a message in round {round}.") from error
        if (message.sender, message.receiver, message.round) != (sender, self._node, round):
            what = f"of node {message.sender} to node {message.receiver} in round {message.round}"
            raise RunError(f"{name_of(sender)} was asked for round {round} and has sent a message {what}.")
        return message

    def _miss(self, way: Neighbour, round: int) -> None:
        if not self._patience.tolerant:
            raise RunError(
                f"node {way.node} at {way.address} has sent nothing to node {self._node} in round {round}, and this "
                "experiment's mixer or methods need every message.\n"
                "    Raise backend.round_timeout, or choose parts that bear lost messages, such as mixer: gossip."
            )

    def _judge(self, way: Neighbour, silent: bool, round: int) -> None:
        if silent and not way.suspected:
            self.outbox.go_on_without(way.node)
            print(f"round {round}: node {way.node} at {way.address} is silent; going on without it", flush=True)
        if way.suspected and not silent:
            self.outbox.welcome(way.node)
            print(f"round {round}: node {way.node} is heard again", flush=True)
        way.suspected = silent


def gossip(peer: Peer, neighbours: Neighbours, last: int, deadline: float) -> None:
    """Take ``peer`` through rounds until ``last`` are finished, or until the deadline on the monotonic clock.

    A node that finds itself behind its neighbours sits out the rounds that it has missed.
    """
    furthest = 0
    while peer.round < last and time.monotonic() < deadline:
        round = peer.round
        peer.close()
        away = furthest > round
        neighbours.outbox.publish(round, peer.work(away))
        senders = [] if away else [sender for sender in peer.place(round).weights if sender != peer.node]
        heard = neighbours.hear(round, senders, deadline)
        if heard is None:
            return
        peer.absorb(heard.messages, heard.lost)
        furthest = max(furthest, heard.furthest)
    peer.close()
    neighbours.linger(deadline)
