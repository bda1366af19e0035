"""The rounds of one node, whatever carries its messages: each is on the node's disk before the next one begins."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from simulator.backends.worker import Worker
from simulator.core.backend import Order, Reply
from simulator.core.declaration import largest
from simulator.core.errors import RunError
from simulator.core.message import Message
from simulator.core.node import Place
from simulator.core.report import REFUSED, Metric
from simulator.deployment.transport.inspection import inspect
from simulator.deployment.transport.saved_rounds import SavedRounds


@dataclass(frozen=True)
class Expected:
    """What neighbours may send.

    Attributes:
        rounds: of the run.
        largest: bytes of each neighbour's longest message.
        inspect: raises `Refused` for a message that is not as declared.
    """

    rounds: int
    largest: Mapping[int, int]
    inspect: Callable[[Message], None]


class Peer:
    """A `Worker` with one node, taken through rounds that can be broken off at any point and gone on with.

    The node program is defined between rounds: a round that was broken off is worked again, from the state before it,
    and gives the same messages.

    Args:
        node: which one.
        worker: holds it, and no other.
        memory: of this node and run.
        due: what is to be done when so many rounds are finished.
        place: where the node stands in a round.
    """

    def __init__(
        self,
        node: int,
        worker: Worker,
        memory: SavedRounds,
        due: Callable[[int], Order],
        place: Callable[[int], Place],
    ) -> None:
        self.node, self.place = node, place
        self._worker, self._memory, self._due = worker, memory, due
        self.round, self._closed = 0, False

    def resume(self) -> list[Message]:
        """Go on from the last state, if there is one; returns what was sent in the round before it."""
        sent: list[Message] = []
        for round in self._memory.rounds()[-2:]:
            if self.go_to(round) and round + 1 in self._memory.rounds():
                sent = self._step(self._working(round))[1]
        return sent

    def go_to(self, round: int) -> bool:
        """Go on after ``round`` finished rounds, if the state of then is there; it always is at the beginning."""
        if round in self._memory.rounds():
            state, self._closed = self._memory.load(round)
            self._worker.load({self.node: state})
            self.round = round
        return self.round == round

    def close(self) -> None:
        """Do what is due after the rounds so far, unless it is done already."""
        due = self._due(self.round)
        if self._closed or due == Order():
            return
        reply, _ = self._step(due)
        self._memory.keep(self.round, "close", reply)
        self._save(closed=True)

    def work(self, away: bool = False) -> list[Message]:
        """Train and return the messages; nothing, where the node is ``away`` in this round."""
        reply, sent = self._step(self._working(self.round, away))
        self._memory.keep(self.round, "work", reply)
        return sent

    def senders(self, round: int) -> list[int]:
        """Those from whom messages are due in ``round``, ascending; a neighbour kept apart may have nothing to say."""
        node, others = self._worker.node(self.node), set(self.place(round).weights) - {self.node}
        return [other for other in sorted(others) if node.declared(other, self.node, round)]

    def expected(self, neighbours: Iterable[int], rounds: int) -> Expected:
        """What ``neighbours`` may send in a run of so many rounds."""
        node = self._worker.node(self.node)
        longest = {
            other: max(largest(node.declared(other, self.node, round)) for round in range(rounds))
            for other in neighbours
        }
        return Expected(rounds, longest, lambda message: inspect(message, node))

    def inspect(self, message: Message) -> None:
        """Hold a message against what mixer and methods declare.

        Raises:
            Refused: it differs.
        """
        inspect(message, self._worker.node(self.node))

    def absorb(self, arrived: Iterable[Message], lost: Collection[int] = (), refused: Collection[int] = ()) -> None:
        """End the round: mix what has arrived; the weights of those whose messages are ``lost`` go to the node.

        What was ``refused`` is counted.

        Raises:
            RunError: what comes of it is not finite, and is not kept.
        """
        reply, _ = self._step(Order(absorb=True, lost={self.node: lost}), arrived)
        counted = (Metric(self.round + 1, self.node, f"{REFUSED}{sender}", 1.0) for sender in sorted(refused))
        reply.metrics.extend(counted)
        self._check_finite()
        self._memory.keep(self.round, "absorb", reply)
        self.round += 1
        self._save(closed=False)

    def _check_finite(self) -> None:
        if not bool(self._worker.node(self.node).parameters.isfinite().all()):
            raise RunError(f"in round {self.round} the parameters of node {self.node} are not finite after mixing.")

    def _save(self, closed: bool) -> None:
        state = self._step(Order(snapshot=True))[0].state
        assert state is not None  # a snapshot was ordered
        self._memory.save(self.round, state, closed)
        self._closed = closed

    def _working(self, round: int, away: bool = False) -> Order:
        place = self.place(round)
        if away:
            place = replace(place, weights={self.node: 1.0}, receivers=(), active=False)
        return Order(work=True, places={self.node: place})

    def _step(self, order: Order, arrived: Iterable[Message] = ()) -> tuple[Reply, list[Message]]:
        replies, sent = self._worker.superstep(order, arrived)
        return replies[self.node], sent
