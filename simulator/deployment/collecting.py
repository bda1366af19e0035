"""What nodes have written on their disks, as the replies of a backend."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

from torch import Tensor

from simulator.config.planning import exchanges
from simulator.core.backend import Blueprint, Order, Replies, Reply
from simulator.core.errors import wrong
from simulator.core.message import Envelope
from simulator.core.place import Place, Places
from simulator.core.report import AWAY, LOST, REFUSED
from simulator.deployment.testimony import Testimony
from simulator.deployment.transport.saved_rounds import SavedRounds, Step, sending
from simulator.deployment.transport.wire import joined
from simulator.runs.build import run_schedule
from topologies import Links


class Collection:
    """The replies of all nodes, superstep by superstep, in the order in which an engine asks for them.

    Attributes:
        round: how many have been asked for.
        read: how many steps of nodes have been taken in.

    Args:
        memories: where each node lays out what it has to say of the run. One that is not among them says nothing, and
            messages to it do not count: nobody knows which of them arrived.
        nodes: how many there are.
        due: what the nodes do when so many rounds are finished.
        wait: called until what is wanted is there; to pass some time, or to raise what has gone wrong.
        place: where a node stands in a round.
        testimony: what a node may say.
    """

    def __init__(
        self,
        memories: Mapping[int, SavedRounds],
        nodes: int,
        due: Callable[[int], Order],
        wait: Callable[[], None],
        place: Callable[[int, int], Place],
        testimony: Testimony,
    ) -> None:
        self.memories, self._nodes = dict(memories), range(nodes)
        self._ends: dict[tuple[int, int], Reply] = {}
        self._due, self._wait, self._place, self._testimony = due, wait, place, testimony
        self.round = self.read = 0

    def superstep(self, order: Order) -> Callable[[], Replies]:
        """What the nodes have to say of ``order``; the function that is returned waits until they have.

        Raises:
            KeyboardInterrupt: an evaluation or a snapshot is wanted that is not due, as when a run is stopped; the
                nodes, which are further, cannot give it.
        """
        steps: list[tuple[int, Step]] = [(self.round - 1, "absorb")] if order.absorb else []
        wanted = Order(finalize=order.finalize, evaluate=order.evaluate, snapshot=order.snapshot)
        if wanted not in (Order(), self._due(self.round)):
            raise KeyboardInterrupt
        if wanted != Order():
            steps.append((self.round, "close"))
        if order.send is not None:
            steps.append((self.round, sending(order.send, self._testimony.exchanges)))
            self.round += order.train
        return lambda: self._collect(steps)

    @classmethod
    def of(cls, blueprint: Blueprint, memories: Mapping[int, SavedRounds], wait: Callable[[], None]) -> Collection:
        """The replies of all nodes of an experiment."""
        experiment = blueprint.experiment
        network = experiment.topology.build(experiment.seed)
        names = frozenset(settings.name for settings in experiment.methods)
        module = blueprint.module()
        running = module.initial_buffers.running if module.initial_buffers else None
        testimony = Testimony(module.initial, names, exchanges(experiment), running)
        due = run_schedule(experiment).due
        nodes: int = network.base.num_nodes

        @lru_cache(maxsize=nodes)  # most networks are the same in all rounds
        def among(links: Links, node: int) -> Place:
            return Places(links)[node]

        return cls(memories, nodes, due, wait, lambda round, node: among(network.at(round), node), testimony)

    def load(self, states: Mapping[int, Mapping[str, Tensor]]) -> None:
        """Have the nodes begin with these states, after which all that was due has been done."""
        self.round = int(states[0]["round"])
        for node, memory in self.memories.items():
            memory.save(self.round, states[node], closed=True)

    def _collect(self, steps: Sequence[tuple[int, Step]]) -> Replies:
        found = {node: Reply() for node in self._nodes}
        for round, step in steps:
            for node, memory in self.memories.items():
                while not memory.has(round, step):
                    self._wait()
                found[node] = joined(found[node], self._said(node, memory, round, step))
        return found

    def _said(self, node: int, memory: SavedRounds, round: int, step: Step) -> Reply:
        """What the node has said of the step, if it may have said that; without messages that nobody has taken in.

        Raises:
            InputError: it is not what a node can have said.
        """
        place = self._place(round, node)
        self.read += 1
        ended = step == "absorb"
        reply = self._end(round, node) if ended else memory.reply(round, step, self._largest(place))
        if problem := self._testimony.problem(reply, round, step, place, self._due(round)):
            what = f"is not what node {node} can say of this step: it {problem}."
            raise wrong(str(memory.file(round, step)), what, "Nothing of it is taken over: ask who runs that node.")
        return replace(reply, sent=[each for each in reply.sent if self._arrived(each, round)]) if reply.sent else reply

    def _arrived(self, message: Envelope, round: int) -> bool:
        """Whether it reached its receiver, who says so at the end of the round; a refused one did."""
        if message.receiver not in self.memories:
            return False
        said = {metric.name: metric.value for metric in self._end(round, message.receiver).metrics}
        lost = said.get(f"{LOST}{message.sender}", math.inf) <= message.exchange
        return AWAY not in said and (not lost or f"{REFUSED}{message.sender}" in said)

    def _end(self, round: int, node: int) -> Reply:
        """What ``node`` said at the end of a round; of the last round that was asked for, kept."""
        if (round, node) not in self._ends:
            self._ends = {key: reply for key, reply in self._ends.items() if key[0] == round}
            memory = self.memories[node]
            while not memory.has(round, "absorb"):
                self._wait()
            self._ends[round, node] = memory.reply(round, "absorb", self._largest(self._place(round, node)))
        return self._ends[round, node]

    def _largest(self, place: Place) -> int:
        return self._testimony.largest(len(place.receivers))
