"""The two planes: neighbours fetch from each other's ports, or all from a mailbox; over gRPC with TLS at both ends."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from simulator.core.message import Message
from simulator.deployment.transport.certificates import MAILBOX, Identity
from simulator.deployment.transport.door import Pins
from simulator.deployment.transport.expected import Expected
from simulator.deployment.transport.gossip import Neighbours
from simulator.deployment.transport.inspection import received
from simulator.deployment.transport.line import Line
from simulator.deployment.transport.neighbour import Neighbour, Patience
from simulator.deployment.transport.outbox import Outbox
from simulator.deployment.transport.post import Post
from simulator.deployment.transport.sealing import OVERHEAD, Seals
from simulator.deployment.transport.server import Server


def p2p(
    node: int,
    run: str,
    outbox: Outbox,
    listen: str,
    addresses: Mapping[int, str],
    identity: Identity,
    patience: Patience,
    expected: Expected,
    pins: Pins = None,
    away: Collection[int] = (),
) -> Neighbours:
    """A node's own port, and a connection to that of each neighbour.

    Raises:
        InputError: its own address cannot be used.
    """
    for other in away:
        outbox.go_on_without(other)
    server = Server(identity, listen, list(addresses), run, outbox, pins)
    lines = {to: Line(identity.wanted(to), at, identity, expected.largest[to]) for to, at in addresses.items()}
    ways = [Neighbour(to, line, run, patience, expected, suspected=to in away) for to, line in lines.items()]

    def opened(data: bytes, sender: int, round: int, exchange: int) -> Message:
        return received(data, sender, node, round, exchange)

    return Neighbours(outbox, ways, [server, *lines.values()], opened, patience, expected, away)


def relay(
    node: int,
    run: str,
    outbox: Outbox,
    mailbox: str,
    neighbours: Collection[int],
    identity: Identity,
    patience: Patience,
    expected: Expected,
    seals: Seals,
    away: Collection[int] = (),
) -> Neighbours:
    """A connection to the mailbox alone, at "host:port"; what is in the ``outbox`` has been sealed."""
    for other in away:
        outbox.go_on_without(other)
    line = Line(MAILBOX, mailbox, identity, OVERHEAD + max(expected.largest.values(), default=0))
    ways = [Neighbour(to, line, run, patience, expected, carried=True, suspected=to in away) for to in neighbours]
    return Neighbours(outbox, ways, [Post(node, run, outbox, line), line], seals.open, patience, expected, away)
