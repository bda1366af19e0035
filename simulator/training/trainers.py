"""The trainers by name."""

from __future__ import annotations

from collections.abc import Mapping

from simulator.training.sequential import Sequential
from simulator.training.stacked import Stacked
from simulator.training.trainer import Trainer

TRAINERS: Mapping[str, type[Trainer]] = {"sequential": Sequential, "stacked": Stacked}
