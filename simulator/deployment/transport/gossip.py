"""The plane p2p: nodes fetch each other's messages directly, over gRPC with TLS at both ends."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from simulator.core.errors import RunError
from simulator.core.message import Message
from simulator.deployment.transport.certificates import Identity
from simulator.deployment.transport.inspection import Refused, received
from simulator.deployment.transport.neighbour import Neighbour, Patience, TurnedAway
from simulator.deployment.transport.outbox import BEHIND, Answer, Found, Outbox, until
from simulator.deployment.transport.peer import Expected, Peer
from simulator.deployment.transport.server import Server


@dataclass
class Heard:
    """What a round has brought.

    Attributes:
        messages: those that came as they should.
        lost: whose did not come, or was refused.
        refused: whose was.
        gone: how far those are who have gone on without this node.
    """

    messages: list[Message] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)

    @property
    def furthest(self) -> int:
        """The round to go on with, for one whom nobody answers any more, at most `BEHIND` rounds on.

        One neighbour's word is not enough where another one still sends messages, and the least is believed.
        """
        return 0 if self.messages or not self.gone else min(self.gone)


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
        expected: Expected,
    ) -> None:
        self._node, self._patience, self._expected = node, patience, expected
        self.outbox = outbox
        self._server = Server(identity, listen, list(addresses), run, self.outbox)
        self._ways = {
            to: Neighbour(to, address, run, identity, patience, expected.largest[to], expected.rounds)
            for to, address in addresses.items()
        }

    def hear(self, round: int, senders: Collection[int], deadline: float) -> Heard | None:
        """Fetch the messages of ``round``; None if the deadline comes first.

        Raises:
            RunError: a message is needed, and its sender is silent or what it sends is refused; or everybody turns this
                node away.
        """
        ways = [self._ways[sender] for sender in sorted(senders)]
        for way in ways:
            way.ask(round, deadline)
        heard, away = Heard(), list[Refused]()
        for way in ways:
            try:
                found = way.answer()
                if found is None and time.monotonic() >= deadline:
                    return None
                self._take(way, round, found, heard)
            except Refused as refusal:
                away += [refusal] if isinstance(refusal, TurnedAway) else []
                self._refuse(way, round, refusal, heard)
        if away and len(away) == len(ways):
            advice = "All need the certificates and the topology of one deployment, and its only run."
            raise RunError(f"{away[0]}\n    {advice}")
        return heard

    def linger(self, deadline: float) -> None:
        """Stay until those who have not been given up have fetched all that they were sent."""
        self.outbox.wait_until_fetched(min(self._patience.round, until(deadline)))

    def close(self) -> None:
        """End the server and all connections."""
        self._server.stop()
        for way in self._ways.values():
            way.close()

    def _take(self, way: Neighbour, round: int, found: Found | None, heard: Heard) -> None:
        if found is not None and found.answer == Answer.MESSAGE:
            message = received(found.message, way.node, self._node, round)
            self._expected.inspect(message)
            heard.messages.append(message)
        else:
            what = f"node {way.node} at {way.address} has sent nothing to node {self._node} in round {round}"
            self._miss(way, what, heard)
            heard.gone += [min(found.position, round + BEHIND)] if found else []
        self._judge(way, silent=found is None, round=round)

    def _refuse(self, way: Neighbour, round: int, refusal: Refused, heard: Heard) -> None:
        heard.refused.append(way.node)
        print(f"round {round}: {refusal}", flush=True)
        self._miss(way, str(refusal).rstrip("."), heard)

    def _miss(self, way: Neighbour, what: str, heard: Heard) -> None:
        heard.lost.append(way.node)
        if not self._patience.tolerant:
            raise RunError(
                f"{what}, and this experiment's mixer or methods need every message.\n"
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
        heard = neighbours.hear(round, [] if away else peer.senders(round), deadline)
        if heard is None:
            return
        peer.absorb(heard.messages, heard.lost, heard.refused)
        furthest = max(furthest, heard.furthest)
    peer.close()
    neighbours.linger(deadline)
