"""A simulated clock: how long nodes would compute and messages travel, whatever this machine takes for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, PositiveFloat, model_validator

from simulator.core.message import Envelope
from simulator.core.registry import Settings
from simulator.core.seeding import generator
from simulator.rounds.traces import DeviceTrace, LinkTrace, devices_of

OF_TRANSFERS = ("uplink", "downlink", "latency")  # columns of a trace of devices


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
        devices: a trace of what devices are like, which nodes are given at random.
        links: a trace of what single links are like, in place of ``latency`` and ``bandwidth``.
    """

    step_seconds: PositiveFloat
    speed_spread: float = Field(0.0, ge=0)
    speeds: Mapping[NonNegativeInt, PositiveFloat] = {}
    latency: float = Field(0.0, ge=0)
    bandwidth: PositiveFloat | None = None
    stragglers: StragglerSettings | None = None
    devices: DeviceTrace | None = None
    links: LinkTrace | None = None

    @model_validator(mode="after")
    def _one_source_of_speeds(self) -> ClockSettings:
        if self.devices and self.devices.speed and self.speed_spread:
            raise ValueError("the devices' trace says how fast nodes are: leave speed_spread out")
        return self


@dataclass(frozen=True)
class Loads:
    """Wire bytes that nodes send and receive in an exchange."""

    sent: Mapping[int, int]
    received: Mapping[int, int]

    @classmethod
    def of(cls, messages: Iterable[Envelope]) -> Loads:
        """Those of ``messages``."""
        sent, received = Counter[int](), Counter[int]()
        for message in messages:
            sent[message.sender] += message.wire_bytes
            received[message.receiver] += message.wire_bytes
        return cls(sent, received)


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
        self._up, self._down, self._latency = (_of_nodes(settings, seed, nodes, name) for name in OF_TRANSFERS)
        self._watts = _of_nodes(settings, seed, nodes, "watts")
        self._links = _of_links(settings)

    def compute_seconds(self, node: int, round: int, steps: int) -> float:
        """c_i(t) = steps * step_seconds / speed_i, times the slowdown if the node straggles in ``round``."""
        return float(steps * self._settings.step_seconds / self._speeds[node]) * self._slowdown(node, round)

    def watts(self, node: int) -> float:
        """The power of the node's device while it computes."""
        if self._watts is None:
            raise TypeError("no trace of devices says their watts")
        return float(self._watts[node])

    def transfer_seconds(self, message: Envelope, loads: Loads | None = None) -> float:
        """Latency + max(wire bytes / bandwidth, what the sender sends / its uplink, what comes / the downlink).

        Args:
            message: which one.
            loads: of all messages that travel at the same time and share uplinks and downlinks; None: it is alone.
        """
        sender, receiver, size = message.sender, message.receiver, message.wire_bytes
        latency, bandwidth = self._links.get((sender, receiver), (None, None))
        bandwidth = bandwidth or self._settings.bandwidth
        seconds = size / bandwidth if bandwidth else 0.0
        if self._up is not None:
            seconds = max(seconds, (loads.sent[sender] if loads else size) / float(self._up[sender]))
        if self._down is not None:
            seconds = max(seconds, (loads.received[receiver] if loads else size) / float(self._down[receiver]))
        if latency is None:
            latency = self._settings.latency
            if self._latency is not None:
                latency += float(self._latency[sender] + self._latency[receiver])
        return latency + seconds

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
            messages: what they send, each as soon as its sender has computed; those of an exchange share the uplink of
                their sender and the downlink of their receiver, if the devices' trace knows any, and all of them end
                when the last does (as of messages of one size under fair sharing).
            before: what they send in each exchange before that, after which all wait for all.

        Returns:
            The sum over the exchanges before of their longest transfer, and max(max_i c_i, max over messages i -> j of
            c_i + transfer): seconds until the last has finished and heard.
        """
        compute = {node: self.compute_seconds(node, round, taken) for node, taken in steps.items()}
        messages = list(messages)
        loads = Loads.of(messages)
        arrivals = (compute[message.sender] + self.transfer_seconds(message, loads) for message in messages)
        early = (max(self._transfers(sent), default=0.0) for sent in before)
        return sum(early) + max([*compute.values(), *arrivals], default=0.0)

    def _transfers(self, sent: Sequence[Envelope]) -> list[float]:
        loads = Loads.of(sent)
        return [self.transfer_seconds(message, loads) for message in sent]

    def _slowdown(self, node: int, round: int) -> float:
        stragglers = self._settings.stragglers
        if stragglers is None:
            return 1.0
        drawn = generator(self._seed, "clock.stragglers", node=node, round=round).random()
        return stragglers.slowdown if drawn < stragglers.probability else 1.0


def speeds(settings: ClockSettings, seed: int, nodes: int) -> NDArray[np.float64]:
    """float [nodes]: speed of each node: that which is given, else that of its device, else a drawn one.

    It is drawn as exp(speed_spread z_i) with z_i standard normal.
    """
    drawn = _of_nodes(settings, seed, nodes, "speed")
    if drawn is None:
        rngs = (generator(seed, "clock.speeds", node=node) for node in range(nodes))
        drawn = np.array([rng.lognormal(0.0, settings.speed_spread) for rng in rngs])
    return np.array([settings.speeds.get(node, speed) for node, speed in enumerate(drawn)])


def _of_nodes(settings: ClockSettings, seed: int, nodes: int, name: str) -> NDArray[np.float64] | None:
    """float [nodes]: what the column ``name`` says of each node's device; None where there is no such column."""
    column = getattr(settings.devices, name) if settings.devices else ()
    return np.array(column)[devices_of(nodes, len(column), seed)] if column else None


def _of_links(settings: ClockSettings) -> Mapping[tuple[int, int], tuple[float | None, float | None]]:
    """Latency and bandwidth of those links that the trace knows, by sender and receiver."""
    if settings.links is None:
        return {}
    trace, none = settings.links, (None,) * len(settings.links.links)
    values = zip(trace.latency or none, trace.bandwidth or none, strict=True)
    return dict(zip(trace.links, values, strict=True))
