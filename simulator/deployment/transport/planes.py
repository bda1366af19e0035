"""The two planes: neighbours fetch from each other's ports, or all from a mailbox; over gRPC with TLS at both ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence

from simulator.core.message import Message
from simulator.deployment.addresses import NOWHERE, check_links
from simulator.deployment.transport.certificates import MAILBOX, Identity, key_digest, name_of
from simulator.deployment.transport.door import Pins
from simulator.deployment.transport.expected import Expected
from simulator.deployment.transport.gossip import Carrier, Neighbours
from simulator.deployment.transport.greetings import Greetings
from simulator.deployment.transport.inspection import Refused, received
from simulator.deployment.transport.line import Line
from simulator.deployment.transport.mailbox import Mailbox, Own
from simulator.deployment.transport.neighbour import Neighbour, Patience
from simulator.deployment.transport.outbox import Outbox, Release
from simulator.deployment.transport.post import Post
from simulator.deployment.transport.run_keys import RunSeals
from simulator.deployment.transport.sealing import OVERHEAD


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

    One end of a link is enough: a node that cannot be reached has no port, and puts what it sends at its neighbours'
    own; these fetch it from themselves.

    Args:
        node: which one.
        run: it takes part in.
        outbox: what it sends.
        listen: where it answers, as "host:port", or `NOWHERE`.
        addresses: of the neighbours, likewise.
        identity: of the node.
        patience: with neighbours.
        expected: what they may send.
        pins: see `Door`.
        away: neighbours that are said to be away.

    Raises:
        InputError: its own address cannot be used, or a link has no end that can be reached.
    """
    check_links({node: listen, **addresses}, [(node, to) for to in addresses], "node.yaml: listen")
    for other in away:
        outbox.go_on_without(other)
    lines = {
        to: Line(identity.wanted(to), at, identity, expected.largest[to])
        for to, at in addresses.items()
        if at != NOWHERE
    }
    guests = sorted(addresses.keys() - lines.keys())
    carriers: list[Carrier] = []
    if listen == NOWHERE:
        carriers += [Post(node, run, outbox, line, [to]) for to, line in lines.items()]
    else:
        links = [(node, to) for to in addresses] + [(guest, node) for guest in guests]
        largest = max((expected.largest[guest] for guest in guests), default=0)
        known = None if pins is None else {**pins, node: [key_digest(identity.certificate)]}
        own = Own(node, run, outbox)
        carriers.append(Mailbox(identity, listen, links, largest, expected.positions, own, known))
        lines |= {guest: Line(name_of(node), listen, identity, largest) for guest in guests}
    ways = [
        Neighbour(to, line, run, patience, expected, carried=to in guests, suspected=to in away)
        for to, line in lines.items()
    ]

    def opened(data: bytes, sender: int, round: int, exchange: int) -> Message:
        return received(data, sender, node, round, exchange)

    return Neighbours(outbox, ways, [*carriers, *lines.values()], opened, patience, expected, away)


def relay(
    node: int,
    run: str,
    outbox: Callable[[Release], Outbox],
    let_go: Callable[[Sequence[Message], Callable[[Message], bytes]], Mapping[int, bytes]],
    mailbox: str,
    identity: Identity,
    patience: Patience,
    expected: Expected,
    seals: RunSeals,
    greetings: Mapping[int, bytes],
    away: Collection[int] = (),
) -> Neighbours:
    """A connection to the mailbox alone.

    Neighbours are waited for until they have said what their keys of the run are; for one that has not, nothing can be
    sealed, so that the node goes on without it.

    Args:
        node: which one.
        run: it takes part in.
        outbox: makes what the node sends of what lets it go.
        let_go: messages that are sealed like that.
        mailbox: where that is, as "host:port".
        identity: of the node.
        patience: with neighbours.
        expected: what they may send.
        seals: of the node.
        greetings: what it tells each neighbour, which its site has let go.
        away: neighbours that are said to be away.

    Raises:
        RunError: the mailbox does not take what the node tells.
    """
    line = Line(MAILBOX, mailbox, identity, OVERHEAD + max(expected.largest.values(), default=0))
    greeted = Greetings(node, run, line, seals, greetings)
    greeted.wait(sorted(greetings.keys() - set(away)), time.monotonic() + patience.start)
    sent = outbox(lambda messages: let_go([each for each in messages if greeted.known(each.receiver)], seals.seal))
    absent = {to for to in expected.largest if to in away or not seals.knows(to)}
    for other in absent:
        sent.go_on_without(other)
    around = expected.largest  # those who were revoked, too, whom nothing is told
    ways = [Neighbour(to, line, run, patience, expected, carried=True, suspected=to in absent) for to in around]

    def opened(data: bytes, sender: int, round: int, exchange: int) -> Message:
        try:
            return seals.open(data, sender, round, exchange)
        except Refused:
            if not greeted.changed(sender):
                raise
            return seals.open(data, sender, round, exchange)

    post = Post(node, run, sent, line, greetings.keys(), greeted.tell)
    return Neighbours(sent, ways, [post, line], opened, patience, expected, away, post.check)
