"""The plane p2p: nodes fetch each other's messages directly, over gRPC with TLS at both ends."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping

from simulator.core.errors import RunError
from simulator.deployment.transport.certificates import Identity
from simulator.deployment.transport.expected import Expected
from simulator.deployment.transport.heard import Heard
from simulator.deployment.transport.inspection import Refused, received
from simulator.deployment.transport.neighbour import Neighbour, Patience, TurnedAway
from simulator.deployment.transport.outbox import BEHIND, Answer, Found, Outbox, until
from simulator.deployment.transport.peer import Peer
from simulator.deployment.transport.server import Pins, Server


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
        pins: Pins = None,
    ) -> None:
        self._node, self._patience, self._expected = node, patience, expected
        self.outbox = outbox
        self._server = Server(identity, listen, list(addresses), run, self.outbox, pins)
        self._ways = {
            to: Neighbour(to, address, run, identity, patience, expected) for to, address in addresses.items()
        }

    def hear(self, position: int, senders: Collection[int], deadline: float) -> Heard | None:
        """Fetch the messages of ``position``; None if the deadline comes first.

        Raises:
            RunError: a message is needed, and its sender is silent or what it sends is refused; or everybody turns this
                node away.
        """
        ways = [self._ways[sender] for sender in sorted(senders)]
        for way in ways:
            way.ask(position, deadline)
        heard, away = Heard(), list[Refused]()
        for way in ways:
            try:
                found = way.answer()
                if found is None and time.monotonic() >= deadline:
                    return None
                self._take(way, position, found, heard)
            except Refused as refusal:
                away += [refusal] if isinstance(refusal, TurnedAway) else []
                self._refuse(way, position, refusal, heard)
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

    def _take(self, way: Neighbour, position: int, found: Found | None, heard: Heard) -> None:
        positions = self._expected.positions
        if found is not None and found.answer == Answer.MESSAGE:
            message = received(found.message, way.node, self._node, *positions.split(position))
            self._expected.inspect(message)
            heard.messages.append(message)
        elif found is None or self._expected.needed(way.node, position):
            what = f"node {way.node} at {way.address} has sent nothing to node {self._node}"
            self._miss(way, f"{what} in {positions.named(position)}", heard)
            furthest = positions.before(position) + BEHIND
            heard.gone += [min(positions.before(found.position), furthest)] if found else []
        self._judge(way, found is None, position)

    def _refuse(self, way: Neighbour, position: int, refusal: Refused, heard: Heard) -> None:
        heard.refused.append(way.node)
        print(f"{self._expected.positions.named(position)}: {refusal}", flush=True)
        self._miss(way, str(refusal).rstrip("."), heard)

    def _miss(self, way: Neighbour, what: str, heard: Heard) -> None:
        heard.lost.append(way.node)
        if not self._patience.tolerant:
            raise RunError(
                f"{what}, and this experiment's mixer or methods need every message.\n"
                "    Raise backend.round_timeout, or choose parts that bear lost messages, such as mixer: gossip."
            )

    def _judge(self, way: Neighbour, silent: bool, position: int) -> None:
        now = self._expected.positions.named(position)
        if silent and not way.suspected:
            self.outbox.go_on_without(way.node)
            print(f"{now}: node {way.node} at {way.address} is silent; going on without it", flush=True)
        if way.suspected and not silent:
            self.outbox.welcome(way.node)
            print(f"{now}: node {way.node} is heard again", flush=True)
        way.suspected = silent


def gossip(peer: Peer, neighbours: Neighbours, last: int, deadline: float) -> None:
    """Take ``peer`` through rounds until ``last`` are finished, or until the deadline on the monotonic clock.

    A node that finds itself behind its neighbours sits out the rounds that it has missed.
    """
    furthest = 0
    while peer.round < last and time.monotonic() < deadline:
        peer.close()
        found = _round(peer, neighbours, deadline, away=furthest > peer.round)
        if found is None:
            return
        if peer.leaves:
            neighbours.linger(deadline)  # its last messages, before those that it does not send push them out
        furthest = max(furthest, found)
    peer.close()
    neighbours.linger(deadline)


def _round(peer: Peer, neighbours: Neighbours, deadline: float, away: bool) -> int | None:
    """Take ``peer`` through a round; returns how far it finds its neighbours, None if the deadline comes first."""
    furthest, messages = 0, peer.begin(away)
    while True:
        neighbours.outbox.publish(peer.position, messages)
        heard = peer.remembered() or neighbours.hear(peer.position, peer.senders(), deadline)
        if heard is None:
            return None
        furthest = max(furthest, heard.furthest)
        if peer.ends_round:
            peer.absorb(heard)
            return furthest
        messages = peer.hear(heard)
