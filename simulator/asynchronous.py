"""Asynchronous gossip: asynchronous decentralized parallel SGD (AD-PSGD, Lian et al. 2018, arXiv:1710.06952)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from simulator.agenda import Agenda
from simulator.clock import Clock
from simulator.core.backend import Backend, Order
from simulator.core.message import Envelope, Message
from simulator.core.mixer import Mixer
from simulator.core.node import Node, Place
from simulator.core.registry import PartSettings
from simulator.core.seeding import generator
from simulator.mode import Mode, Work
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
        backend: holds the nodes, each with the mixer `PairAverage`.
        topology: undirected; its weights play no part.
        local_steps: of each node, in order.
        clock: how long an activation and a message take.
        seed: decides, with node and activation, which neighbour is drawn.
    """

    def __init__(
        self, backend: Backend, topology: Topology, local_steps: Sequence[int], clock: Clock, seed: int
    ) -> None:
        super().__init__(backend)
        self._topology, self._local_steps, self._clock, self._seed = topology, list(local_steps), clock, seed
        self._agenda = Agenda.of(topology.num_nodes)

    def work(self, round: int) -> Callable[[], Work]:
        """As many activations as there are nodes; messages in the order of time."""
        messages: list[Envelope] = []
        steps = 0
        for _ in range(self._topology.num_nodes):
            starting = self._agenda.begin(self._seconds)
            self._train(starting)
            messages += self._average(self._agenda.finishing())
            steps += sum(self._local_steps[node] for node in starting)
        # Methods, whose metrics and artifacts replies would bring, are refused in this mode.
        work = Work((), [message._replace(round=round) for message in messages], steps)
        return lambda: work

    def take_metrics(self) -> Iterator[tuple[str, float]]:
        """Simulated seconds since the start, and the mean number of averagings during an activation."""
        yield "clock/seconds", self._agenda.second
        staleness = self._agenda.take_staleness()
        if staleness is not None:
            yield "async/staleness", staleness

    def state_dict(self) -> dict[str, Any]:
        """The agenda; what nodes have trained and not yet added is in their own states."""
        return self._agenda.state_dict()

    def restore(self, nodes: Mapping[int, Mapping[str, Tensor]] | None, state: Mapping[str, Any]) -> None:
        """Continue at that point of the agenda."""
        super().restore(nodes, state)
        self._agenda = Agenda.from_state(state)

    def _seconds(self, node: int, activation: int) -> float:
        return self._clock.compute_seconds(node, activation, self._local_steps[node])

    def _train(self, nodes: Sequence[int]) -> None:
        """Together: one that begins to train changes nothing for the others."""
        places = {node: Place(node, {node: 1.0}, ()) for node in nodes}
        self.backend.superstep(Order(work=True, nodes=places, places=places))()

    def _average(self, node: int) -> tuple[Envelope, Envelope]:
        """The question of ``node`` and a neighbour's answer; both have mixed afterwards."""
        neighbour = self._draw_neighbour(node)
        place = Place(node, {node: 0.5, neighbour: 0.5}, (neighbour,))
        step = self.backend.superstep
        (question,) = step(Order(send=True, nodes=(node,), places={node: place}))()[node].sent
        (answer,) = step(Order(answer=True, nodes=(neighbour,)))()[neighbour].sent
        step(Order(absorb=True, nodes=(node,)))()
        self._agenda.averaged(node, neighbour, self._clock.transfer_seconds(question))
        return question, answer

    def _draw_neighbour(self, node: int) -> int:
        activation = self._agenda.activations[node]
        rng = generator(self._seed, "asynchronous.neighbour", node=node, round=activation)
        return int(rng.choice(self._topology.out_neighbours(node)))


class PairAverage(Mixer):
    """The node's side: average with one neighbour at a time, and add afterwards what was learned meanwhile."""

    def __init__(self) -> None:
        super().__init__(PartSettings(name="pair_average"))
        self._update: Tensor | None = None

    def before_round(self, node: Node) -> None:
        """Keep where the training begins."""
        self._start = node.parameters.clone()

    def after_local_training(self, node: Node) -> None:
        """Take the update out again: neighbours see nothing of it before the node has finished."""
        self._update = node.parameters - self._start
        node.parameters.copy_(self._start)

    def outgoing(self, node: Node, to: int) -> Mapping[str, Tensor]:
        """The parameters as they are now."""
        return {"parameters": node.parameters.clone()}

    def answer(self, node: Node, inbox: Sequence[Message]) -> None:
        """x_i <- (x_i + x_j) / 2."""
        (message,) = inbox
        node.parameters.add_(message.parts["parameters"]).mul_(0.5)

    def mix(self, node: Node, inbox: Sequence[Message]) -> None:
        """Average, then add the update."""
        assert self._update is not None  # set when the node trained
        self.answer(node, inbox)
        node.parameters.add_(self._update)

    def state_dict(self) -> dict[str, Tensor]:
        """The update that is waiting, once there is one."""
        return {} if self._update is None else {"update": self._update}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restore the update."""
        self._update = state["update"]
