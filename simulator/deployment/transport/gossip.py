"""Rounds in which a node hears its neighbours, whatever carries their messages."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from typing import Protocol

from simulator.core.errors import RunError
from simulator.core.message import Message
from simulator.deployment.transport.box import BEHIND, Answer, Found, until
from simulator.deployment.transport.expected import Expected
from simulator.deployment.transport.heard import Heard
from simulator.deployment.transport.inspection import Refused
from simulator.deployment.transport.neighbour import Neighbour, Outage, Patience, TurnedAway
from simulator.deployment.transport.outbox import Outbox
from simulator.deployment.transport.peer import Peer

Opener = Callable[[bytes, int, int, int], Message]


class Carrier(Protocol):
    """What makes it possible that neighbours get a node's messages, or the node theirs."""

    def close(self) -> None:
        """What it holds open is closed."""


class Neighbours:
    """What a node sends, and its ways to all neighbours.

    Args:
        outbox: of the node.
        ways: to the neighbours.
        carriers: closed at the end, in this order.
        opened: the message that these bytes are, from this sender, in this round and exchange.
        patience: with neighbours.
        expected: what they may send.
        away: neighbours that are said to be away.
        check: raises a `RunError` where nobody takes what the node sends.
    """

    def __init__(
        self,
        outbox: Outbox,
        ways: Iterable[Neighbour],
        carriers: Iterable[Carrier],
        opened: Opener,
        patience: Patience,
        expected: Expected,
        away: Collection[int] = (),
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.outbox, self._carriers, self._opened, self._check = outbox, list(carriers), opened, check
        self._patience, self._expected, self._away = patience, expected, frozenset(away)
        self._ways = {way.node: way for way in ways}
        self._cut_off, self._without = False, set[int]()  # who has gone on without this node, when last asked

    @property
    def broken_off(self) -> bool:
        """Whether the phase cannot go on for now: a node waits then, and does not train on by itself.

        So it is where no neighbour is heard though not all are said to be away, or one whose messages are needed; or
        where what carries everybody's messages is out of reach.
        """
        if self._cut_off:
            return True
        silent = {node for node, way in self._ways.items() if way.suspected}
        if not self._patience.tolerant:
            return bool(silent)
        return silent == self._ways.keys() and not silent <= self._away

    def gone_on(self, position: int, senders: Collection[int]) -> int:
        """How many rounds are over for all ``senders`` that answer, where none has anything for this node any more.

        They are asked at once and hardly waited for: 0 where one still has its message of ``position``, or is not there
        yet. So a node that comes back finds out before it says anything itself.
        """
        asked = {sender: self._ways[sender].glance(position) for sender in senders}
        found = [answer() for sender, answer in asked.items() if self._expected.needed(sender, position)]
        if not self._patience.tolerant or any(each and each.answer != Answer.GONE for each in found):
            return 0
        before = self._expected.positions.before
        over = [min(before(each.position), before(position) + BEHIND) for each in found if each]
        return min(over, default=0)

    def ask(
        self, position: int, senders: Collection[int], deadline: float, dropped: Collection[int] = ()
    ) -> Callable[[], Heard | None]:
        """Ask for the messages of ``position``; what is returned waits for them: None if the deadline comes first.

        Those of ``dropped`` ones are fetched as well, since they wait for it before they leave, and not looked at.

        Raises, when it is called:
            RunError: a message is needed, and its sender has gone on or what it sends is refused; or everybody turns
                this node away, or what it sends is not carried.
        """
        ways, others = ([self._ways[node] for node in sorted(nodes)] for nodes in (senders, dropped))
        for way in [*ways, *others]:
            way.ask(position, deadline)
        return lambda: self._hear(position, ways, others, deadline)

    def linger(self, deadline: float) -> None:
        """Stay until those who have not been given up have fetched all that they were sent."""
        self.outbox.wait_until_fetched(min(self._patience.round, until(deadline)))

    def close(self) -> None:
        """End all that carries messages."""
        for carrier in self._carriers:
            carrier.close()

    def _hear(
        self, position: int, ways: Sequence[Neighbour], others: Sequence[Neighbour], deadline: float
    ) -> Heard | None:
        heard, away = Heard(), list[Refused]()
        for way in ways:
            try:
                found = way.answer()
                if found is None and time.monotonic() >= deadline:
                    return None
                self._judge(way, found is None, position)
                self._take(way, position, found, heard)
            except Outage:
                self._cut_off = True
                return None
            except Refused as refusal:
                away += [refusal] if isinstance(refusal, TurnedAway) else []
                self._refuse(way, position, refusal, heard)
        for way in others:
            with suppress(Refused, Outage):
                self._judge(way, way.answer() is None, position)
        self._check()
        if away and len(away) == len(ways):
            advice = "All need the certificates and the topology of one deployment, and its only run."
            raise RunError(f"{away[0]}\n    {advice}")
        return heard

    def _take(self, way: Neighbour, position: int, found: Found | None, heard: Heard) -> None:
        positions = self._expected.positions
        if found is None:
            heard.lost.append(way.node)
        elif found.answer == Answer.MESSAGE:
            message = self._opened(found.message, way.node, *positions.split(position))
            self._expected.inspect(message)
            self._without.discard(way.node)
            heard.messages.append(message)
        elif self._expected.needed(way.node, position):
            if way.node not in self._without:
                self._without.add(way.node)
                what = f"{positions.named(position)}: {way} goes on without this node"
                print(f"{what}: if it had this node's message of that round, its weights keep no mean", flush=True)
            self._miss(way, f"{way} has sent nothing to this node in {positions.named(position)}", heard)
            heard.gone.append(min(positions.before(found.position), positions.before(position) + BEHIND))

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
            print(f"{now}: {way} is silent; going on without it", flush=True)
        if way.suspected and not silent:
            self.outbox.welcome(way.node)
            print(f"{now}: node {way.node} is heard again", flush=True)
        way.suspected = silent


def gossip(peer: Peer, neighbours: Neighbours, last: int, deadline: float) -> None:
    """Take ``peer`` through rounds until ``last`` are finished, or until the deadline on the monotonic clock.

    A node that finds itself behind its neighbours sits out the rounds that it has missed, and waits where it hears
    nobody (`Neighbours.broken_off`).
    """
    furthest = neighbours.gone_on(*peer.awaited())
    while peer.round < last and time.monotonic() < deadline:
        peer.close()
        behind = furthest > peer.round
        found = _round(peer, neighbours, deadline, away=behind)
        if found is None:
            return
        if peer.leaves:
            neighbours.linger(deadline)  # its last messages, before those that it does not send push them out
        furthest = max(furthest, found)
        if behind and furthest <= peer.round < last:  # they may have gone on in the meantime
            furthest = neighbours.gone_on(*peer.awaited())
    peer.close()
    neighbours.linger(deadline)


def sit_out(peer: Peer, last: int) -> None:
    """Take ``peer`` through rounds until ``last`` are finished, away in all of them: it keeps its model as it is."""
    while peer.round < last:
        peer.close()
        peer.begin(away=True)
        while not peer.ends_round:
            peer.hear(Heard())
        peer.absorb(Heard())
    peer.close()


def _round(peer: Peer, neighbours: Neighbours, deadline: float, away: bool) -> int | None:
    """Take ``peer`` through a round; returns how far it finds its neighbours, None if it cannot be ended now."""
    furthest, messages = 0, peer.begin(away)
    while True:
        before = peer.remembered()  # asked for now, the others' messages come while the node's own wait for the disk
        hear = None if before else neighbours.ask(peer.position, peer.senders(), deadline, peer.dropped())
        neighbours.outbox.publish(peer.position, messages, peer.receivers())
        heard = hear() if hear else before
        if heard is None or neighbours.broken_off:
            return None
        furthest = max(furthest, heard.furthest)
        if peer.ends_round:
            peer.absorb(heard)
            return furthest
        messages = peer.hear(heard)
