"""The experiment: everything that decides a run's results, as one frozen, validated tree of settings."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import yaml
from pydantic import ConfigDict, Field, PositiveInt, SerializeAsAny

from simulator.core.registry import PartSettings, Settings
from simulator.core.training import TrainingSettings
from simulator.data.splits import DataSettings
from topologies import Topology


class TopologySettings(Settings):
    """The graph and its mixing matrix; further keys are the graph's own options, such as ``rows`` of a torus."""

    model_config = ConfigDict(extra="allow")

    graph: str
    nodes: PositiveInt | None = None
    weights: str = "metropolis_hastings"

    def build(self, seed: int) -> Topology:
        """The topology; ``seed`` is for random graphs.

        Raises:
            TopologyError: the settings do not describe a valid topology.
        """
        return Topology.build(self.graph, self.nodes, self.weights, seed, **(self.model_extra or {}))


class EvaluateSettings(Settings):
    """How often every node is measured on the test set, in rounds; always before the first and after the last."""

    every: PositiveInt | None = None


class CheckpointSettings(Settings):
    """How often the state of all nodes is saved, in rounds; always after the last."""

    every: PositiveInt | None = None


class Experiment(Settings):
    """One experiment; `simulator.load_experiment` makes one and reports every problem at once."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    description: str = ""
    seed: int = Field(0, ge=0)
    rounds: PositiveInt
    topology: TopologySettings
    data: DataSettings
    model: SerializeAsAny[PartSettings]
    training: TrainingSettings = TrainingSettings()
    mixer: SerializeAsAny[PartSettings]
    methods: tuple[SerializeAsAny[PartSettings], ...] = ()
    backend: SerializeAsAny[PartSettings]
    evaluate: EvaluateSettings = EvaluateSettings()
    checkpoint: CheckpointSettings = CheckpointSettings()

    def to_dict(self) -> dict[str, Any]:
        """The resolved experiment as plain data; `simulator.load_experiment` gives it back."""
        return self.model_dump(mode="json")

    def to_yaml(self) -> str:
        """The resolved experiment as YAML."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)

    def digest(self) -> str:
        """Identifies what decides the results; where and how it is run does not count."""
        content = {
            key: value for key, value in self.to_dict().items() if key not in ("backend", "description", "checkpoint")
        }
        return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()
