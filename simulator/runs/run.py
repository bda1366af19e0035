"""Runs that are over, read back from their directories: experiment, metrics, nodes and models."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from simulator.config.experiment import Experiment
from simulator.config.parsing import load_experiment
from simulator.core.backend import Blueprint
from simulator.core.damage import reading
from simulator.core.errors import InputError, wrong
from simulator.core.node import Node
from simulator.core.report import STATISTICS
from simulator.data.sites.statistics import Statistics
from simulator.results.checkpoint import Checkpoints
from simulator.results.formatting import nodes_named
from simulator.results.frames import Metrics, plot
from simulator.results.run_directory import RunDirectory
from simulator.runs.autotune import on_cpu
from simulator.runs.build import Simulation

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Run:
    """A run that is over.

    Attributes:
        directory: where it lies.
        status: how it ended, "finished", "interrupted" or "failed"; "running" where it was cut off.
    """

    directory: RunDirectory
    status: str

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """The run at ``path``, with the status that it has written down.

        Raises:
            InputError: there is no run there, or its ``provenance.json`` is damaged.
        """
        directory = RunDirectory.open(path)
        return cls(directory, directory.provenance().get("status", "running"))

    @property
    def path(self) -> Path:
        """The path of its directory."""
        return self.directory.path

    @cached_property
    def experiment(self) -> Experiment:
        """What it is a run of.

        Raises:
            InputError: its ``experiment.yaml`` is damaged, or of another version of the program.
        """
        return experiment_of(self.directory)

    @cached_property
    def blueprint(self) -> Blueprint:
        """Makes its nodes, as they were at the beginning, and their network; on the CPU.

        Raises:
            InputError: the data set is not there, is another one by now, or is known to the run's sites alone.
        """
        _check_known(self.directory)
        return simulation_of(self.directory, on_cpu(self.experiment)).blueprint

    @cached_property
    def checkpoints(self) -> Checkpoints:
        """The checkpoints that were kept."""
        return checkpoints_of(self.directory, self.experiment)

    def models(self, round: int) -> Tensor:
        """float [nodes, parameters]: the nodes' models at the checkpoint of ``round``.

        Raises:
            InputError: it is damaged, or a node was not collected; ``checkpoints.load(round).nodes`` has the others.
        """
        check_complete(self.directory)
        with self.checkpoints.refusing(round):
            states = self.checkpoints.load(round).nodes
            return torch.stack([states[node]["parameters"] for node in sorted(states)])

    def running(self, round: int) -> list[Tensor | None]:
        """The running statistics (float [running]) of each node's model in `models`; None where there are none.

        Raises:
            InputError: the checkpoint is damaged, or a node was not collected.
        """
        check_complete(self.directory)
        with self.checkpoints.refusing(round):
            states = self.checkpoints.load(round).nodes
            return [states[node].get("buffers") for node in sorted(states)]

    @cached_property
    def nodes(self) -> list[Node]:
        """All nodes, as they were at the last checkpoint: when the run ended, unless it failed.

        Raises:
            InputError: there is no checkpoint, or it is damaged, or a node was not collected.
        """
        check_complete(self.directory)
        last = self.checkpoints.choose()
        with self.checkpoints.refusing(last):
            states = self.checkpoints.load(last).nodes
            nodes = self.blueprint.nodes(sorted(states))
            for node in nodes:
                node.load_state_dict(states[node.id])
        return nodes

    def metrics(self) -> Metrics:
        """All metrics, in the order written; ``metrics().to_dataframe()`` makes a pandas table of them."""
        return Metrics(self.directory.metrics())

    def plot(self, name: str | None = None) -> Figure:
        """A metric over rounds, by default the score of the task.

        Raises:
            InputError: the run has no such metric.
        """
        return plot(self.directory, name)


def simulation_of(directory: RunDirectory, experiment: Experiment) -> Simulation:
    """That of a run of ``experiment``, on the data that it was run on.

    Raises:
        InputError: they are not where they were, or are others by now.
    """
    try:
        simulation = Simulation.of(experiment, statistics=statistics_of(directory))
    except InputError as error:
        back = "The run has read its data there: put them back, or a link to where they are now (ln -s NEW OLD)."
        told = (replace(each, advice=back) if each.where.startswith("data.") else each for each in error.problems)
        raise InputError(*told) from error
    check_content(directory, simulation)
    return simulation


def experiment_of(directory: RunDirectory) -> Experiment:
    """What a run is of.

    Raises:
        InputError: its ``experiment.yaml`` is damaged, or of another version of the program.
    """
    file = directory.path / "experiment.yaml"
    with reading(file):
        return load_experiment(file, recorded=True)


def statistics_of(directory: RunDirectory) -> Statistics | None:
    """What the sites of a run have agreed on before its first round; None where there was nothing to agree on.

    Raises:
        InputError: the file is damaged.
    """
    file = directory.path / STATISTICS
    return Statistics.read(file) if file.exists() else None


def checkpoints_of(directory: RunDirectory, experiment: Experiment) -> Checkpoints:
    """The folder of the checkpoints of a run of ``experiment``."""
    settings = experiment.checkpoint
    keep = None if settings.keep == "all" else settings.keep
    return Checkpoints(directory.path / "checkpoints", experiment.digest(), keep, settings.rounds)


def check_complete(directory: RunDirectory) -> None:
    """What asks for the models of all nodes has no use for a run that lacks some.

    Raises:
        InputError: the run was collected without some of its nodes.
    """
    if gone := directory.not_collected:
        what = f"was collected without {nodes_named(gone)}, whose models are not known, and those of all are needed."
        advice = "Bring what is missing together and collect it again; metrics, report and compare go without."
        raise wrong(str(directory.path), what, advice)


def _check_known(directory: RunDirectory) -> None:
    """Nodes are not made again whose samples nobody has brought together.

    Raises:
        InputError: the run was collected from sites.
    """
    partition = directory.partition()
    with reading(directory.path / "partition.npz", "Copy it back, or start a new run."):
        known = len(partition["train_node"])
    if not known:
        what = "was collected from sites, each of which alone knows which samples it holds."
        advice = "Take a simulation of such sites: the same experiment under `rumormill run`, with data in one place."
        raise wrong(str(directory.path), what, advice)


def check_content(directory: RunDirectory, simulation: Simulation) -> None:
    """What is taken over from a run must be about the data that it was about.

    Raises:
        InputError: the simulation has loaded other images or labels.
    """
    partition = directory.partition()
    with reading(directory.path / "partition.npz", "Copy it back, or start a new run."):
        same = simulation.data.content.is_that_of(partition)
    if not same:
        what = f"{directory.path} was about other data: the images or labels are not those that it trained on."
        raise wrong("data.dataset", what, "Put the files that it read back into data.root, or start a new run.")
