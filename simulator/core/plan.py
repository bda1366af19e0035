"""What mixers and methods may look at to refuse a setting they cannot work in, before anything is computed."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.core.training import TrainingSettings
from topologies import Topology


@dataclass(frozen=True)
class Plan:
    """The run as it is about to be."""

    rounds: int
    training: TrainingSettings
    topology: Topology
