"""The rounds of one node, whatever carries its messages: each is on the node's disk before the next one begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol

from torch import Tensor

from simulator.core.backend import Order, Reply
from simulator.core.errors import RunError
from simulator.core.message import Message
from simulator.core.place import Place
from simulator.core.report import AWAY, LOST, REFUSED, Metric, is_of_the_network
from simulator.deployment.carried import CarriedNode
from simulator.deployment.transport.departures import Departures
from simulator.deployment.transport.expected import Expected
from simulator.deployment.transport.heard import Heard
from simulator.deployment.transport.positions import Positions
from simulator.deployment.transport.saved_rounds import SavedRounds, Step, sending


class Exit(Protocol):
    """What a node's state and reports pass before anybody may see them; see `simulator.deployment.site.gate.Gate`."""

    def admit(self, node: CarriedNode) -> None:
        """Let the node take part, or raise why it may not."""

    def begin(self, parameters: Tensor) -> None:
        """A round begins with these parameters."""

    def report(self, round: int, step: Step, reply: Reply) -> bytes:
        """What of ``reply`` may be laid out, encoded."""


class Peer:
    """A node, taken through rounds that can be broken off at any point and gone on with.

    The node program is defined between rounds: a round that was broken off is worked again, from the state before it,
    and gives the same messages. So that it does where a round has several exchanges, what each of them but the last one
    has brought is kept before the node says what it makes of it, and is not asked for again.

    Attributes:
        round: how many are finished.
        exchange: of the round under way, the last one that messages were sent in; 0 between rounds.
        lost: whose messages were lost before in this round, and in which exchange: their weights are given away, and
            they are out of it.
        absences: in how many rounds the node was away, since it was made.

    Args:
        node: which one.
        carried: the node itself.
        memory: of this node and run.
        gate: what lets out what the node has to say.
        due: what is to be done when so many rounds are finished.
        place: where the node stands in a round, which those who have left have no part in.
        departures: who has.
    """

    def __init__(
        self,
        node: int,
        carried: CarriedNode,
        memory: SavedRounds,
        gate: Exit,
        due: Callable[[int], Order],
        place: Callable[[int], Place],
        departures: Departures,
    ) -> None:
        self.node, self._stands = node, place
        self._place: tuple[int, Place] | None = None  # of the round that was asked for last
        self._carried, self._memory, self._gate, self._due = carried, memory, gate, due
        gate.admit(carried)
        self.positions = Positions(carried.exchanges)
        self.round, self.exchange, self._closed, self._away, self.absences = 0, 0, False, False, 0
        self._departures, self._stopping = departures, False
        self.lost, self._refused = dict[int, int](), set[int]()

    def place(self, round: int) -> Place:
        """Where the node stands in a round, as far as it knows who has left."""
        if self._place is None or self._place[0] != round:
            self._place = round, self._stands(round)
        return self._place[1]

    @property
    def position(self) -> int:
        """Where in the run the node is, by the last exchange that it has sent messages in."""
        return self.positions.of(self.round + 1, self.exchange)

    @property
    def tolerant(self) -> bool:
        """Whether the experiment's parts bear it that messages are lost."""
        return self._carried.tolerant

    @property
    def leaves(self) -> bool:
        """Whether the round that was finished last is the node's last one."""
        return self._departures.after(self.node) == self.round

    @property
    def ends_round(self) -> bool:
        """Whether the round's last messages have been sent."""
        return self.exchange == self.positions.exchanges

    def resume(self) -> list[Message]:
        """Go on from the last state, if there is one; returns what was sent in the round before it."""
        sent: list[Message] = []
        for round in self._memory.rounds()[-2:]:
            if self.go_to(round) and round + 1 in self._memory.rounds() and not self._was_away(round):
                sent = self._sent_in_this_round()
        return sent

    def _was_away(self, round: int) -> bool:
        """Whether the node, in a round that it has finished, said nothing."""
        said = self._memory.has(round, "absorb")  # else it has been taken away for collecting
        return said and any(metric.name == AWAY for metric in self._memory.reply(round, "absorb").metrics)

    def go_to(self, round: int) -> bool:
        """Go on after ``round`` finished rounds, if the state of then is there; it always is at the beginning."""
        if round in self._memory.rounds():
            state, self._closed = self._memory.load(round)
            self._carried.load(state)
            self.round, self.exchange = round, 0
        return self.round == round

    def close(self) -> None:
        """Do what is due after the rounds so far, unless it is done already."""
        due = self._due(self.round)
        if self._closed or due == Order():
            return
        reply, _ = self._step(due)
        self._lay_out("close", reply)
        self._save(closed=True)

    def begin(self, away: bool = False) -> list[Message]:
        """Begin the round and return its first messages; nothing, where the node is ``away`` in this round.

        After the first ones comes `hear`, exchange by exchange, and after the last ones `absorb`.
        """
        return self._kept(*self._begin(away))

    def remembered(self) -> Heard | None:
        """What the neighbours' messages of this exchange were, if the round was broken off after they were heard."""
        return None if self._away or self.ends_round else self._memory.heard(self.round, self.exchange)

    def hear(self, heard: Heard) -> list[Message]:
        """Take in an exchange after which the round goes on, and return the messages of the next one."""
        if not self._away:
            self._memory.keep_heard(self.round, self.exchange, heard)
        return self._kept(*self._go_on(heard))

    def senders(self) -> list[int]:
        """Those who may send messages in this exchange, ascending; a neighbour kept apart may have nothing to say."""
        return [] if self._away else [other for other in self._senders(self.position) if other not in self.lost]

    def dropped(self) -> list[int]:
        """Those of them who are out of this round: what they send changes nothing any more."""
        if self._away or not self.lost:
            return []
        return [other for other in self._senders(self.position) if other in self.lost]

    def receivers(self) -> list[int]:
        """Those who may ask for a message of this exchange, ascending, whether or not there is one for them."""
        now = self.positions.split(self.position)
        others = [] if self._away else sorted(set(self.place(self.round).receivers) - {self.node})
        return [other for other in others if self._carried.declared(self.node, other, *now)]

    def awaited(self) -> tuple[int, list[int]]:
        """The position of the first exchange of the next round, and those who may send messages in it."""
        position = self.positions.of(self.round + 1, 1)
        return position, self._senders(position)

    def _senders(self, position: int) -> list[int]:
        others = sorted(set(self.place(self.round).weights) - {self.node})
        now = self.positions.split(position)
        return [other for other in others if self._carried.declared(other, self.node, *now)]

    def expected(self, neighbours: Iterable[int], rounds: int) -> Expected:
        """What ``neighbours`` may send in a run of so many rounds."""
        return Expected.of(self._carried, self.node, neighbours, rounds)

    def absorb(self, heard: Heard) -> None:
        """End the round: mix what has come; the weights of those whose messages are lost go to the node.

        What was lost or refused in the round is counted, and whether the node was away.

        Raises:
            RunError: what comes of it is not finite, and is not kept.
        """
        self._departures.hear(heard.messages)
        self._place = None
        reply, _ = self._step(Order(absorb=True, lost={self.node: heard.lost}), heard.messages)
        self._lose(heard)
        number, self.absences = self.round + 1, self.absences + self._away
        reply.metrics.extend([Metric(number, self.node, AWAY, 1.0)] if self._away else [])
        reply.metrics.extend(
            Metric(number, self.node, f"{LOST}{sender}", at) for sender, at in sorted(self.lost.items())
        )
        refused = sorted(self._refused.union(heard.refused))
        reply.metrics.extend(Metric(number, self.node, f"{REFUSED}{sender}", 1.0) for sender in refused)
        self._check_finite()
        self._lay_out("absorb", reply)
        self.round, self.exchange, self.lost = self.round + 1, 0, {}
        self._save(closed=False)

    def _check_finite(self) -> None:
        if not bool(self._carried.parameters.isfinite().all()):
            raise RunError(f"in round {self.round} the parameters of node {self.node} are not finite after mixing.")

    def _save(self, closed: bool) -> None:
        state = self._step(Order(snapshot=True))[0].state
        assert state is not None  # a snapshot was ordered
        self._memory.save(self.round, state, closed)
        self._closed = closed

    def _sent_in_this_round(self) -> list[Message]:
        """What the node has sent in a round that it has finished, as far as it can tell what it had heard."""
        _, sent = self._begin()
        while not self.ends_round and (heard := self.remembered()):
            sent = [*sent, *self._go_on(heard)[1]]
        return sent

    def _begin(self, away: bool = False) -> tuple[Reply, list[Message]]:
        self.exchange, self.lost, self._refused, self._away = 0, {}, set(), away
        place = self.place(self.round)
        self._gate.begin(self._carried.parameters)
        if away:
            place = replace(place, weights={self.node: 1.0}, receivers=(), active=False)
        return self._send(Order(begin=True, places={self.node: place}))

    def _go_on(self, heard: Heard) -> tuple[Reply, list[Message]]:
        self._lose(heard)
        self._refused.update(heard.refused)
        return self._send(Order(hear=self.exchange, lost={self.node: heard.lost}), heard.messages)

    def _lose(self, heard: Heard) -> None:
        self.lost |= {sender: self.exchange for sender in heard.lost if sender not in self.lost}

    def _send(self, order: Order, arrived: Iterable[Message] = ()) -> tuple[Reply, list[Message]]:
        """Carry out ``order`` and send the messages of the next exchange, after local training if it is the last."""
        self.exchange += 1
        reply, sent = self._step(replace(order, train=self.ends_round, send=self.exchange), arrived)
        if self._stopping and self.ends_round:
            self._stopping = False
            self._departures.add(self.node, self.round + 1)
            self._place = None
            sent = [replace(message, last=True) for message in sent]
        return reply, sent

    def _kept(self, reply: Reply, sent: list[Message]) -> list[Message]:
        self._lay_out(sending(self.exchange, self.positions.exchanges), reply)
        return sent

    def _lay_out(self, step: Step, reply: Reply) -> None:
        self._memory.lay_out(self.round, step, self._gate.report(self.round, step, reply))

    def _step(self, order: Order, arrived: Iterable[Message] = ()) -> tuple[Reply, list[Message]]:
        reply, sent = self._carried.superstep(order, arrived)
        if taken := next((metric.name for metric in reply.metrics if is_of_the_network(metric.name)), None):
            what = f"a method of node {self.node} calls a metric '{taken}', as a deployment calls what it counts."
            raise RunError(f"{what}\n    No policy holds that back: give it another name.")
        self._stopping |= reply.stop is not None  # the others go on, so that this node leaves
        reply.stop = None
        return reply, sent
