"""Settings of a deployment: a block of the experiment like that of any other backend."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveFloat, PositiveInt

from simulator.core.registry import PartSettings


class FlowerSettings(PartSettings):
    """How nodes exchange messages, and how long everybody waits.

    Attributes:
        engine: "deployment": for every node a SuperNode with its own process and key; "simulation": Flower's simulation
            of them, in which the same app runs.
        plane: "p2p": nodes fetch each other's messages, over TLS; "relay": all connect to a mailbox beside the
            SuperLink alone, which keeps what it cannot read.
        phase: rounds in one message of Flower's; between two, a new process is started at every node.
        round_timeout: seconds until a silent neighbour is suspected, twice that if it lives but has nothing to
            say; the round goes on without it, or, where parts need every message, all wait for it. One waited for in
            vain is waited for half as long the next time, until it sends something.
        phase_timeout: seconds after which nodes break a phase off, to be continued by the next; the run ends when
            nobody has got on for that long, and some more.
        collect: what nodes lay out for `rumormill deploy collect`: "models", with metrics and whatever else the
            experiment keeps, or "nothing" but the sizes of messages, where sites do not let more go.
        join_timeout: seconds to wait for all nodes at the start, for a neighbour at the start of a phase, for a mailbox
            that is out of reach, and for those that are away at the end of the run.
        quorum: nodes that must be there for the run to begin once that time is over; default: all.
    """

    name: str = "flower"
    engine: Literal["deployment", "simulation"] = "deployment"
    plane: Literal["p2p", "relay"] = "p2p"
    collect: Literal["models", "nothing"] = "models"
    phase: PositiveInt = 100
    round_timeout: PositiveFloat = 30.0
    phase_timeout: PositiveFloat = 3600.0
    join_timeout: PositiveFloat = 120.0
    quorum: PositiveInt | None = None
