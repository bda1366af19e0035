"""From an experiment to running parts: the one place where they are put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from simulator.asynchronous import Asynchronous, PairAverage
from simulator.clock import Clock
from simulator.core.backend import BACKENDS, Backend
from simulator.core.errors import InputError
from simulator.core.flat_module import FlatModule, check_trainable_by_gossip
from simulator.core.method import METHODS
from simulator.core.mixer import MIXERS, Mixer
from simulator.core.model import MODELS
from simulator.core.node import Node, Place, SharedSettings
from simulator.core.observer import Observer, RunInfo
from simulator.core.seeding import torch_seed
from simulator.data.splits import NetworkData, prepare
from simulator.engine import Engine, Rhythm
from simulator.experiment import Experiment
from simulator.mode import Mode
from simulator.results.checkpoint import Checkpoints
from simulator.synchronous import Synchronous
from topologies import Network, Topology


@dataclass
class Simulation:
    """All parts of an experiment, ready to run."""

    experiment: Experiment
    network: Network
    data: NetworkData
    nodes: list[Node]
    backend: Backend

    @classmethod
    def of(cls, experiment: Experiment) -> Simulation:
        """Load the data and make the nodes.

        Raises:
            InputError: the data set is not there, a node would be left without samples, or the network cannot be mixed.
        """
        network = experiment.topology.build(experiment.seed)
        topology = network.base
        data = prepare(experiment.data, topology.num_nodes, experiment.seed)
        module = build_module(experiment, data)
        nodes = _nodes(experiment, topology, data, module)
        backend = BACKENDS.build(experiment.backend)
        return cls(experiment, network, data, nodes, backend)

    def start(self) -> None:
        """Start the backend's workers."""
        self.backend.start(self.nodes, lambda: build_module(self.experiment, self.data))

    def engine(self, checkpoints: Checkpoints, observers: Sequence[Observer]) -> Engine:
        """The rounds of this simulation."""
        experiment, data = self.experiment, self.data.nodes[0]
        rhythm = Rhythm(experiment.rounds, experiment.evaluate.every, experiment.checkpoint.every)
        consensus = (build_module(experiment, self.data), data.test, data.normalizer)
        return Engine(self._mode(), rhythm, observers, checkpoints, consensus)

    def _mode(self) -> Mode:
        experiment, steps = self.experiment, [node.training.local_steps for node in self.nodes]
        clock = Clock(experiment.clock, experiment.seed, steps) if experiment.clock else None
        if experiment.mode == "synchronous":
            return Synchronous(self.backend, self.network, steps, clock)
        assert clock is not None  # the experiment was checked when it was read
        return Asynchronous(self.backend, self.network.base, steps, clock, experiment.seed)

    def info(self, path: Path, start_round: int) -> RunInfo:
        """What observers are told at the start of a run in ``path``."""
        experiment = self.experiment
        return RunInfo(
            path=path,
            name=experiment.name,
            seed=experiment.seed,
            rounds=experiment.rounds,
            nodes=len(self.nodes),
            parameters=len(self.nodes[0].parameters),
            start_round=start_round,
            settings=experiment.to_dict(),
            notes=self.data.notes,
        )


def build_module(experiment: Experiment, data: NetworkData) -> FlatModule:
    """The experiment's network, initialised by its seed: the same at every call, so all nodes start alike."""
    _, height, width, channels = data.nodes[0].train.images.shape
    with torch_seed(experiment.seed, "model.initialisation"):
        network = MODELS.build(experiment.model).build((height, width, channels), data.nodes[0].classes)
    check_trainable_by_gossip(network)
    return FlatModule(network, experiment.training.precision)


def _nodes(experiment: Experiment, topology: Topology, data: NetworkData, module: FlatModule) -> list[Node]:
    matrix = module.initial.repeat(topology.num_nodes, 1)
    shared = SharedSettings(
        experiment.seed, topology.num_nodes, experiment.rounds, experiment.training, experiment.data.augment
    )
    nodes = []
    for id in range(topology.num_nodes):
        place = Place(id, topology.row(id), topology.out_neighbours(id))
        own = replace(shared, training=experiment.training.of(id))
        methods = [METHODS.build(settings) for settings in experiment.methods]
        try:
            nodes.append(Node(place, own, data.nodes[id], matrix[id], _mixer(experiment), methods))
        except InputError as error:
            raise error.under(f"node {id}") from error
    return nodes


def _mixer(experiment: Experiment) -> Mixer:
    return MIXERS.build(experiment.mixer) if experiment.mode == "synchronous" else PairAverage()
