"""Synchronous rounds: all nodes train, all messages travel, all nodes mix; nobody goes on before all are done."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from simulator.core.backend import Backend, Order, Replies
from simulator.core.message import joined
from simulator.core.place import Places
from simulator.core.report import Metric
from simulator.rounds.clock import Clock
from simulator.rounds.energy import EnergyMeter
from simulator.rounds.mode import Mode, Work
from topologies import Network


class Synchronous(Mode):
    """One superstep an exchange, and another one where the network is evaluated or saved.

    Args:
        backend: holds the nodes.
        network: the links of every round.
        exchanges: how many a round has before local training; one more follows it.
        clock: counts simulated seconds, if they are asked for.
        overhearing: the omniscient attackers: they send in a superstep of their own, after the others.
        mixing: the exchange in which models travel, counted from 1; None: the last one.
        meter: counts joules, if they are asked for.
    """

    def __init__(
        self,
        backend: Backend,
        network: Network,
        exchanges: int = 0,
        clock: Clock | None = None,
        overhearing: Collection[int] = (),
        mixing: int | None = None,
        meter: EnergyMeter | None = None,
    ) -> None:
        super().__init__(backend, meter)
        self._network, self._exchanges, self._clock = network, exchanges, clock
        self._overhearing, self._mixing = overhearing, mixing or exchanges + 1
        self._unmixed = False
        self._seconds = 0.0

    def work(self, round: int) -> Callable[[], Work]:
        """Mix what has not been mixed yet, go through the exchanges, train and send."""
        first = Order(absorb=self._unmixed, begin=True, places=self._places(round))
        orders = [first, *(Order(hear=exchange) for exchange in range(1, self._exchanges + 1))]
        orders[-1] = replace(orders[-1], train=True)
        orders = [replace(order, send=exchange) for exchange, order in enumerate(orders, start=1)]
        if self._overhearing:
            orders.insert(self._mixing, Order(lie=True, nodes=self._overhearing))
        collects = [self.backend.superstep(order) for order in orders]
        self._unmixed = True
        return lambda: self._done(round, [collect() for collect in collects])

    def _done(self, round: int, done: Sequence[Replies]) -> Work:
        sent = joined([reply.sent for replies in done for reply in replies.values() if reply.sent])
        messages = [sent]
        if self._exchanges:
            messages = [[each for each in sent if each.exchange == k] for k in range(1, self._exchanges + 2)]
        if self._overhearing:  # they have sent last, and stand in their places all the same
            messages = [sorted(each, key=lambda envelope: envelope.sender) for each in messages]
        steps = dict.fromkeys(self._active(round), 0)
        for each in done:
            for node, reply in each.items():
                if reply.steps:
                    steps[node] += reply.steps
        if self._clock:
            self._seconds += self._clock.round_seconds(round, steps, messages[-1], messages[:-1])
        if self.meter:
            self.meter.count(round, steps, sent)
        replies = [reply for each in done for reply in each.values()]
        failures = list(self._failures(round, len(steps)))
        return Work(replies, joined(messages), sum(steps.values()), failures)

    def close(self, order: Order) -> Replies:
        """Mix, then carry out ``order``."""
        collect = self.backend.superstep(replace(order, absorb=self._unmixed))
        self._unmixed = False
        return collect()

    def take_metrics(self) -> Iterator[tuple[str, float]]:
        """Simulated seconds since the start."""
        if self._clock:
            yield "clock/seconds", self._seconds
        yield from super().take_metrics()

    def state_dict(self) -> dict[str, Any]:
        """The time; all messages have been mixed."""
        return {"seconds": self._seconds, **super().state_dict()}

    def restore(self, nodes: Mapping[int, Mapping[str, Tensor]] | None, state: Mapping[str, Any]) -> None:
        """Continue from the nodes' states at that time."""
        super().restore(nodes, state)
        self._unmixed = False
        self._seconds = state["seconds"]

    def _active(self, round: int) -> Sequence[int]:
        return [node for node, active in enumerate(self._network.at(round).active.tolist()) if active]

    def _places(self, round: int) -> Places | None:
        """Where the nodes stand in a round, if that ever changes."""
        return Places(self._network.at(round)) if self._network.varies else None

    def _failures(self, round: int, active: int) -> Iterator[Metric]:
        if self._network.fails:
            yield Metric(round + 1, None, "network/away", self._network.base.num_nodes - active)
            yield Metric(round + 1, None, "network/links_lost", self._network.lost(round))
