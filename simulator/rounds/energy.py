"""Energy of a run, from declared joules: nothing is measured, as the devices are simulated.

E = sum over nodes of (power x seconds of computing, or joules a step x steps) + joules a byte x bytes on the wire. The
two parts are told apart, as in SkipTrain (Dhasade et al. 2024, arXiv:2407.01283), where the second is taken for
negligible: with small models and many links it is not. What idle nodes take while they wait is not counted. What the
machine takes that simulates them is the tracker's ``codecarbon``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import fsum
from typing import Any, Literal

from pydantic import NonNegativeFloat, model_validator

from simulator.core.message import Envelope
from simulator.core.registry import Settings
from simulator.rounds.clock import Clock


class EnergySettings(Settings):
    """What is taken for what; each part that is left out takes nothing.

    Attributes:
        joules_per_step: of a local step, whatever its batch, at every node.
        watts: in place of that, the power of a node while it computes by the simulated clock; "devices": that of its
            device, by the clock's trace of them.
        joules_per_byte: of a byte on the wire, at both ends of its link and between them; counted at the sender.
        by_link: whether to tell the energy of each link as well.
    """

    joules_per_step: NonNegativeFloat | None = None
    watts: NonNegativeFloat | Literal["devices"] | None = None
    joules_per_byte: NonNegativeFloat = 0.0
    by_link: bool = False

    @model_validator(mode="after")
    def _says_something_once(self) -> EnergySettings:
        if self.joules_per_step is not None and self.watts is not None:
            raise ValueError("give either joules_per_step or watts")
        if self.joules_per_step is None and self.watts is None and not self.joules_per_byte:
            raise ValueError("says of nothing how much it takes: give joules_per_step, watts or joules_per_byte")
        if self.by_link and not self.joules_per_byte:
            raise ValueError("links take nothing unless joules_per_byte is given: leave by_link out")
        return self


class EnergyMeter:
    """Counts joules since the start.

    Args:
        settings: what takes how much.
        nodes: how many there are.
        clock: simulated time; needed for ``watts``.
    """

    def __init__(self, settings: EnergySettings, nodes: int, clock: Clock | None) -> None:
        self._settings, self._clock = settings, clock
        self._computing, self._sending = [0.0] * nodes, [0.0] * nodes
        self._links = dict[tuple[int, int], float]()

    def count(self, round: int, steps: Mapping[int, int], messages: Iterable[Envelope]) -> None:
        """Add what nodes have done in ``round``, which in asynchronous mode is a node's activation."""
        for node, taken in steps.items():
            self._computing[node] += self._of_computing(node, round, taken)
        for message in messages:
            joules = self._settings.joules_per_byte * message.wire_bytes
            self._sending[message.sender] += joules
            if self._settings.by_link:
                link = message.sender, message.receiver
                self._links[link] = self._links.get(link, 0.0) + joules

    def _of_computing(self, node: int, round: int, steps: int) -> float:
        watts = self._settings.watts
        if watts is None:
            return (self._settings.joules_per_step or 0.0) * steps
        assert self._clock is not None  # the experiment was checked when it was read
        power = self._clock.watts(node) if watts == "devices" else watts
        return power * self._clock.compute_seconds(node, round, steps)

    def of_node(self, node: int) -> Iterator[tuple[str, float]]:
        """Joules of ``node``, by name."""
        yield "energy/computing", self._computing[node]
        yield "energy/sending", self._sending[node]

    def of_network(self) -> Iterator[tuple[str, float]]:
        """Joules of all nodes, and of each link if that is asked for, by name."""
        computing, sending = fsum(self._computing), fsum(self._sending)
        yield "energy/computing", computing
        yield "energy/sending", sending
        yield "energy/total", computing + sending
        for sender, receiver in sorted(self._links):
            yield f"energy/link/{sender}-{receiver}", self._links[sender, receiver]

    def state_dict(self) -> dict[str, Any]:
        """Everything, as JSON."""
        links = [[*link, joules] for link, joules in self._links.items()]
        return {"computing": self._computing, "sending": self._sending, "links": links}

    def load_state_dict(self, state: Mapping[str, Sequence[Any]]) -> None:
        """Restore what `state_dict` gave."""
        self._computing, self._sending = list(state["computing"]), list(state["sending"])
        self._links = {(sender, receiver): joules for sender, receiver, joules in state["links"]}
