"""A simulated clock: how long nodes would compute and messages travel, whatever this machine takes for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, PositiveFloat

from simulator.core.message import Envelope
from simulator.core.registry import Settings
from simulator.core.seeding import generator


class StragglerSettings(Settings):
    """With ``probability``, a node's work of a round takes ``slowdown`` times as long; drawn per node and round."""

    probability: float = Field(ge=0, le=1)
    slowdown: float = Field(ge=1)


class ClockSettings(Settings):
    """How fast nodes and links are.

    Attributes:
        step_seconds: seconds that a local step takes on a node of speed 1, whatever its batch.
        speed_spread: sigma of the lognormal distribution, of median 1, that the nodes' speeds are drawn from.
        speeds: speed of single nodes, in place of the drawn one; a node of speed 2 takes half the time.
        latency: seconds until a message begins to arrive.
        bandwidth: bytes a second over a directed link; by default, bytes take no time.
        stragglers: nodes that are slow now and then.
    """

    step_seconds: PositiveFloat
    speed_spread: float = Field(0.0, ge=0)
    speeds: Mapping[NonNegativeInt, PositiveFloat] = {}
    latency: float = Field(0.0, ge=0)
    bandwidth: PositiveFloat | None = None
    stragglers: StragglerSettings | None = None


class Clock:
    """Durations in simulated seconds, as pure functions: any round can be asked for alone.

    Args:
        settings: how fast nodes and links are.
        seed: the experiment's.
        nodes: how many there are.
    """

    def __init__(self, settings: ClockSettings, seed: int, nodes: int) -> None:
        self._settings, self._seed = settings, seed
        self._speeds = speeds(settings, seed, nodes)

    def compute_seconds(self, node: int, round: int, steps: int) -> float:
        """c_i(t) = steps * step_seconds / speed_i, times the slowdown if the node straggles in ``round``."""
        return float(steps * self._settings.step_seconds / self._speeds[node]) * self._slowdown(node, round)

    def transfer_seconds(self, message: Envelope) -> float:
        """Latency + wire bytes / bandwidth."""
        bandwidth = self._settings.bandwidth
        return self._settings.latency + (message.wire_bytes / bandwidth if bandwidth else 0.0)

    def round_seconds(
        self,
        round: int,
        steps: Mapping[int, int],
        messages: Iterable[Envelope],
        before: Iterable[Sequence[Envelope]] = (),
    ) -> float:
        """A round in which nobody goes on before all are done.

        Args:
            round: which one.
            steps: how many local steps each node takes, of those that compute.
            messages: what they send, each as soon as its sender has computed; links do not share their bandwidth.
            before: what they send in each exchange before that, after which all wait for all.

        Returns:
            The sum over the exchanges before of their longest transfer, and max(max_i c_i, max over messages i -> j of
            c_i + transfer): seconds until the last has finished and heard.
        """
        compute = {node: self.compute_seconds(node, round, taken) for node, taken in steps.items()}
        arrivals = (compute[message.sender] + self.transfer_seconds(message) for message in messages)
        early = (max(map(self.transfer_seconds, sent), default=0.0) for sent in before)
        return sum(early) + max([*compute.values(), *arrivals], default=0.0)

    def _slowdown(self, node: int, round: int) -> float:
        stragglers = self._settings.stragglers
        if stragglers is None:
            return 1.0
        drawn = generator(self._seed, "clock.stragglers", node=node, round=round).random()
        return stragglers.slowdown if drawn < stragglers.probability else 1.0


def speeds(settings: ClockSettings, seed: int, nodes: int) -> NDArray[np.float64]:
    """float [nodes]: speed of each node, exp(speed_spread z_i) with z_i standard normal, unless its speed is given."""
    drawn = (generator(seed, "clock.speeds", node=node).lognormal(0.0, settings.speed_spread) for node in range(nodes))
    return np.array([settings.speeds.get(node, speed) for node, speed in enumerate(drawn)])
