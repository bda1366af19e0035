"""Small experiments on digits, and how to watch one from inside."""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from reference.network import Existing

from simulator import load_experiment
from simulator.config.experiment import Experiment
from simulator.core.message import Envelope, Message
from simulator.core.method import Method
from simulator.core.node import Node
from simulator.core.observer import Observer
from simulator.results.checkpoint import Checkpoints
from simulator.results.recorder import Recorder
from simulator.runs.build import Simulation

PUBLIC = [
    {"dataset": "digits", "samples": 40},
    {"dataset": {"name": "photo_patches", "size": 8, "count": 40}, "samples": 40},
]
SMALL: Mapping[str, Any] = {
    "name": "small",
    "rounds": 6,
    "topology": {"graph": "ring", "nodes": 4},
    "data": {
        "dataset": "digits",
        "partition": {"name": "dirichlet", "alpha": 0.3},
        "validation": 0.1,
        "public": PUBLIC,
        "train_samples": 400,
        "test_samples": 60,
    },
    "model": {"name": "mlp", "hidden": [16]},
    "training": {"batch_size": 16, "precision": "fp64", "optimizer": {"lr": 0.3}},
    "backend": {"name": "local", "workers": 1},  # not measured, so that nothing here depends on a clock
    "evaluate": {"every": 2},
}
METHODS = [{"name": "quasi_global_momentum"}, {"name": "idkd", "first_round": 3, "every": 2}]


def small(*overrides: str, folder: Path | None = None, **changes: Any) -> Experiment:
    """`SMALL` with top-level blocks replaced by ``changes`` and single settings by ``overrides``."""
    return load_experiment({**copy.deepcopy(dict(SMALL)), **changes}, overrides, folder=folder)


class Messages(Observer):
    """Keeps the envelope of every message."""

    def __init__(self) -> None:
        self.all: list[Envelope] = []

    def sent(self, round: int, messages: Sequence[Envelope]) -> None:
        self.all += messages


class Posted(Method):
    """Keeps every message with its contents, as it leaves: give its `watch` to `simulate`."""

    def __init__(self) -> None:
        super().__init__(None)
        self.all: list[Message] = []

    def watch(self, node: Node) -> None:
        """Stand last in the node's list of methods."""
        node.methods.append(self)

    def outgoing(self, node: Node, message: Message) -> Message:
        self.all.append(message)
        return message


class At(Observer):
    """Does something when so many rounds are finished and the messages of the next one have been sent."""

    def __init__(self, round: int, action: Callable[[], Any]) -> None:
        self._round, self._action = round, action

    def sent(self, round: int, messages: Sequence[Envelope]) -> None:
        if round == self._round + 1:
            self._action()


def simulate(
    experiment: Experiment, path: Path, touch: Callable[[Node], None], observers: Iterable[Observer] = ()
) -> list[Node]:
    """Run in ``path`` after ``touch`` has changed every node, for example to add a method that watches it."""
    if experiment.backend.name == "local":
        # All nodes are rows of one matrix here, and autograd counts its changes as one: no two threads may train on it.
        experiment = experiment.model_copy(update={"backend": experiment.backend.model_copy(update={"workers": 1})})
    simulation = Simulation.of(experiment)
    nodes = nodes_of(experiment)
    for node in nodes:
        touch(node)
        node.traits = [method.traits(method.config) for method in node.methods]
    made = simulation.blueprint
    simulation.blueprint = Existing(made.topology, made.module, nodes, made.overhearing)
    path.mkdir(parents=True, exist_ok=True)
    recorder = Recorder(path)
    with simulation.started():
        engine = simulation.engine(Checkpoints(path / "checkpoints", experiment.digest()), [recorder, *observers])
        recorder.started(simulation.info(path, 0))
        try:
            engine.run()
        finally:
            recorder.finished("finished")
    return nodes


def nodes_of(experiment: Experiment) -> list[Node]:
    """All nodes of an experiment, at their beginning."""
    blueprint = Simulation.of(experiment).blueprint
    return blueprint.nodes(range(blueprint.topology.num_nodes))


def results(path: Path) -> dict[str, bytes]:
    """The files of a run that one seed determines to the last byte, and its last checkpoint's tensors."""
    last = sorted((path / "checkpoints").glob("round-*"))[-1]
    files = [path / "metrics.jsonl", path / "messages.arrow", *sorted(last.glob("*.safetensors"))]
    files += sorted((path / "artifacts").glob("*"))
    files += sorted((path / "recordings").glob("*/*"))
    return {str(file.relative_to(path)): file.read_bytes() for file in files}
