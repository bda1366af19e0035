"""How rounds are carried out: what the engine needs to know of a mode, and no more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from simulator.core.backend import Backend, Order, Replies, Reply
from simulator.core.message import Envelope
from simulator.core.report import Metric
from simulator.rounds.energy import EnergyMeter


@dataclass(frozen=True)
class Work:
    """What the nodes did in a round.

    Attributes:
        replies: of all supersteps, in order.
        messages: everything sent.
        node_steps: local steps taken, over all nodes.
        metrics: of the network, whether or not it is evaluated after this round.
    """

    replies: Sequence[Reply]
    messages: Sequence[Envelope]
    node_steps: int
    metrics: Sequence[Metric] = ()


class Mode:
    """Carries out rounds on a backend, one call of `work` a round, with a call of `close` where one is evaluated.

    Attributes:
        backend: holds the nodes.
        meter: counts joules, if they are asked for.
    """

    def __init__(self, backend: Backend, meter: EnergyMeter | None = None) -> None:
        self.backend, self.meter = backend, meter

    def work(self, round: int) -> Callable[[], Work]:
        """Let the nodes train and exchange messages; what is returned waits for what they did."""
        raise TypeError(f"{type(self).__name__} must override work")

    def close(self, order: Order) -> Replies:
        """Bring the rounds so far to their end at all nodes, then carry out ``order``."""
        return self.backend.superstep(order)()

    def take_metrics(self) -> Iterator[tuple[str, float]]:
        """Measurements of the network since the last call, by name."""
        if self.meter:
            yield from self.meter.of_network()

    def of_node(self, node: int) -> Iterator[tuple[str, float]]:
        """Measurements of ``node`` since the start, by name."""
        if self.meter:
            yield from self.meter.of_node(node)

    def state_dict(self) -> dict[str, Any]:
        """What must survive a stop and resume after `close`, as JSON; the nodes' own states are not part of it."""
        return {"energy": self.meter.state_dict()} if self.meter else {}

    def restore(self, nodes: Mapping[int, Mapping[str, Tensor]] | None, state: Mapping[str, Any]) -> None:
        """Continue from the nodes' states (None: they are at their beginning) and from what `state_dict` gave."""
        if nodes is not None:
            self.backend.load(nodes)
        if self.meter:
            self.meter.load_state_dict(state["energy"])
