"""Asynchronous gossip: asynchronous decentralized parallel SGD (AD-PSGD, Lian et al. 2018, arXiv:1710.06952)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from simulator.core.backend import Backend, Order
from simulator.core.message import Envelope
from simulator.core.place import Place
from simulator.core.seeding import generator
from simulator.rounds.clock import Clock
from simulator.rounds.energy import EnergyMeter
from simulator.rounds.event_queue import EventQueue
from simulator.rounds.mode import Mode, Work
from topologies import Topology


class Asynchronous(Mode):
    """Nobody waits: each node trains at its own pace and, when it has finished, averages with a random neighbour.

    A node i trains from a copy c_i of what it had when it began, to y_i. When its time is up it draws a neighbour j;
    at that moment, whatever others have made of both since, ::

        x_i, x_j <- (x_i + x_j) / 2 ;  then  x_i <- x_i + (y_i - c_i)

    The averaging is one event; node i begins anew when the messages have arrived, and j works on undisturbed. A round
    is as many activations as there are nodes, whoever does them. What follows rounds at a node (its learning-rate
    schedule, its random numbers) follows its own activations.

    Args:
        backend: holds the nodes, whose mixer is pairwise.
        topology: undirected; its weights play no part.
        local_steps: of each node, in order.
        clock: how long an activation and a message take.
        seed: decides, with node and activation, which neighbour is drawn.
        meter: counts joules, if they are asked for.
    """

    def __init__(
        self,
        backend: Backend,
        topology: Topology,
        local_steps: Sequence[int],
        clock: Clock,
        seed: int,
        meter: EnergyMeter | None = None,
    ) -> None:
        super().__init__(backend, meter)
        self._topology, self._local_steps, self._clock, self._seed = topology, list(local_steps), clock, seed
        self._events = EventQueue.of(topology.num_nodes)

    def work(self, round: int) -> Callable[[], Work]:
        """As many activations as there are nodes; messages in the order of time."""
        messages: list[Envelope] = []
        steps = 0
        for _ in range(self._topology.num_nodes):
            starting = self._events.begin(self._seconds)
            self._train(starting)
            self._count_computing(starting)
            messages += self._average(self._events.finishing())
            steps += sum(self._local_steps[node] for node in starting)
        if self.meter:
            self.meter.count(round, {}, messages)
        # Methods, whose metrics and artifacts replies would bring, are refused in this mode.
        work = Work((), [message._replace(round=round + 1) for message in messages], steps)
        return lambda: work

    def take_metrics(self) -> Iterator[tuple[str, float]]:
        """Simulated seconds since the start, and the mean number of averagings during an activation."""
        yield "clock/seconds", self._events.second
        staleness = self._events.take_staleness()
        if staleness is not None:
            yield "async/staleness", staleness
        yield from super().take_metrics()

    def state_dict(self) -> dict[str, Any]:
        """The events; what nodes have trained and not yet added is in their own states."""
        return {**self._events.state_dict(), **super().state_dict()}

    def restore(self, nodes: Mapping[int, Mapping[str, Tensor]] | None, state: Mapping[str, Any]) -> None:
        """Continue at that point of the events."""
        super().restore(nodes, state)
        self._events = EventQueue.from_state(state)

    def _count_computing(self, nodes: Sequence[int]) -> None:
        """Energy of activations that begin, as their steps are counted then."""
        if self.meter:
            for node in nodes:
                self.meter.count(self._events.activations[node], {node: self._local_steps[node]}, ())

    def _seconds(self, node: int, activation: int) -> float:
        return self._clock.compute_seconds(node, activation, self._local_steps[node])

    def _train(self, nodes: Sequence[int]) -> None:
        """Together: one that begins to train changes nothing for the others."""
        places = {node: Place(node, {node: 1.0}, ()) for node in nodes}
        self.backend.superstep(Order(begin=True, train=True, nodes=places, places=places))()

    def _average(self, node: int) -> tuple[Envelope, Envelope]:
        """The question of ``node`` and a neighbour's answer; both have mixed afterwards."""
        neighbour = self._draw_neighbour(node)
        place = Place(node, {node: 0.5, neighbour: 0.5}, (neighbour,))
        step = self.backend.superstep
        (question,) = step(Order(send=1, nodes=(node,), places={node: place}))()[node].sent
        back = {neighbour: Place(neighbour, {node: 0.5, neighbour: 0.5}, (node,))}
        (answer,) = step(Order(hear=1, send=2, nodes=(neighbour,), places=back))()[neighbour].sent
        step(Order(absorb=True, nodes=(node,)))()
        self._events.averaged(node, neighbour, self._clock.transfer_seconds(question))
        return question, answer

    def _draw_neighbour(self, node: int) -> int:
        activation = self._events.activations[node]
        rng = generator(self._seed, "asynchronous.neighbour", node=node, round=activation)
        return int(rng.choice(self._topology.out_neighbours(node)))
