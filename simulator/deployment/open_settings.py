"""What of an experiment decides who hears whom and when: settings that name no part, and so execute nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from simulator.config.experiment import (
    CheckpointSettings,
    EvaluateSettings,
    Experiment,
    RecordSettings,
    TopologySettings,
)
from simulator.core.backend import Order
from simulator.core.damage import reading
from simulator.core.plain_yaml import read_yaml
from simulator.core.run_schedule import RunSchedule
from simulator.data.sites.settings import SitesSettings
from simulator.deployment.files import EXPERIMENT
from topologies import Network

ADVICE = "Take the node's folder as `rumormill deploy init` writes it."


@dataclass(frozen=True)
class OpenSettings:
    """Those settings of an experiment.

    Attributes:
        name: of the experiment.
        seed: of the experiment.
        rounds: how many.
        topology: the links.
        evaluate: how often nodes are measured.
        checkpoint: how often their states are laid out.
        record: which rounds are recorded.
        sites: whether nodes are sites, and what these agree on.
        shared_names: what to call the samples that all hosts must have alike.
        mixer: its name.
        methods: their names.
    """

    name: str
    seed: int
    rounds: int
    topology: TopologySettings
    evaluate: EvaluateSettings
    checkpoint: CheckpointSettings
    record: RecordSettings
    sites: SitesSettings | None
    shared_names: str
    mixer: str
    methods: tuple[str, ...]

    @classmethod
    def of(cls, experiment: Experiment) -> OpenSettings:
        """Those of ``experiment``."""
        return cls._of_blocks(experiment.to_dict())

    @classmethod
    def read(cls, folder: Path) -> OpenSettings:
        """Those of the experiment in a node's ``folder``, as `rumormill deploy init` writes it: all of them are there.

        Raises:
            InputError: it is another file.
        """
        file = folder / EXPERIMENT
        with reading(file, ADVICE):
            return cls._of_blocks(read_yaml(file.read_text(encoding="utf-8-sig"), file.name).content)

    @classmethod
    def _of_blocks(cls, content: Mapping[str, Any]) -> OpenSettings:
        data = content["data"]
        sites = data["sites"] and SitesSettings.model_validate(data["sites"])
        names = [data["dataset"]["name"], *(source["dataset"]["name"] for source in data["public"])]
        return cls(
            content["name"],
            content["seed"],
            content["rounds"],
            TopologySettings.model_validate(content["topology"]),
            EvaluateSettings.model_validate(content["evaluate"]),
            CheckpointSettings.model_validate(content["checkpoint"]),
            RecordSettings.model_validate(content["record"]),
            sites,
            ", ".join(names) if sites is None else "the public set or the common test set",
            content["mixer"]["name"],
            tuple(method["name"] for method in content["methods"]),
        )

    @cached_property
    def network(self) -> Network:
        """The links of every round."""
        return self.topology.build(self.seed)

    def due(self, finished: int) -> Order:
        """What is to be done when so many rounds are finished."""
        return RunSchedule(self.rounds, self.evaluate.every, self.checkpoint.every).due(finished)
