"""Synchronous rounds: all nodes train, all messages travel, all nodes mix; nobody goes on before all are done."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from simulator.clock import Clock
from simulator.core.backend import Backend, Order, Reply
from simulator.core.message import Message
from simulator.core.node import Place
from simulator.core.report import Metric
from simulator.mode import Mode, Work
from topologies import Network


class Synchronous(Mode):
    """One superstep a round, and another one where the network is evaluated or saved.

    Args:
        backend: holds the nodes.
        network: the links of every round.
        local_steps: of each node, in order.
        clock: counts simulated seconds, if they are asked for.
    """

    def __init__(
        self, backend: Backend, network: Network, local_steps: Sequence[int], clock: Clock | None = None
    ) -> None:
        super().__init__(backend)
        self._network, self._local_steps, self._clock = network, list(local_steps), clock
        self._inboxes: dict[int, list[Message]] = {}
        self._unmixed = False
        self._seconds = 0.0

    def work(self, round: int) -> Work:
        """Mix what has not been mixed yet, then train and send."""
        order = Order(absorb=self._unmixed, work=True, places=self._places(round))
        replies = self._backend.superstep(order, self._inboxes)
        messages = [message for reply in replies.values() for message in reply.messages]
        self._route(messages, replies)
        active = self._active(round)
        if self._clock:
            self._seconds += self._clock.round_seconds(round, active, messages)
        steps = sum(self._local_steps[node] for node in active)
        return Work(list(replies.values()), messages, steps, list(self._failures(round, active)))

    def close(self, order: Order) -> Mapping[int, Reply]:
        """Mix, then carry out ``order``."""
        replies = self._backend.superstep(replace(order, absorb=self._unmixed), self._inboxes)
        self._unmixed = False
        return replies

    def take_metrics(self) -> Iterator[tuple[str, float]]:
        """Simulated seconds since the start."""
        if self._clock:
            yield "clock/seconds", self._seconds

    def state_dict(self) -> dict[str, Any]:
        """The time; all messages have been mixed."""
        return {"seconds": self._seconds}

    def restore(self, nodes: Mapping[int, Mapping[str, Tensor]], state: Mapping[str, Any]) -> None:
        """Continue from the nodes' states at that time."""
        super().restore(nodes, state)
        self._seconds = state["seconds"]

    def _route(self, messages: Iterable[Message], nodes: Iterable[int]) -> None:
        self._inboxes = {node: [] for node in nodes}
        for message in messages:
            self._inboxes[message.receiver].append(message)
        self._unmixed = True

    def _active(self, round: int) -> Sequence[int]:
        return [node for node, active in enumerate(self._network.at(round).active.tolist()) if active]

    def _places(self, round: int) -> dict[int, Place] | None:
        """Where the nodes stand in a round, if that ever changes."""
        if not self._network.varies:
            return None
        links = self._network.at(round)
        nodes = range(links.num_nodes)
        return {i: Place(i, links.row(i), links.out_neighbours(i), bool(links.active[i])) for i in nodes}

    def _failures(self, round: int, active: Sequence[int]) -> Iterator[Metric]:
        if self._network.fails:
            yield Metric(round + 1, None, "network/away", len(self._local_steps) - len(active))
            yield Metric(round + 1, None, "network/links_lost", self._network.lost(round))
