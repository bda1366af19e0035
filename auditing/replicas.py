"""Replicas: whole networks trained as the audited one was, each on its own random half of every node's pool.

They are the reference models of an audit: what models look like that were, and that were not, trained on a sample. A
replica has the links, pools, settings, attackers and number of rounds of the run. Its own are, node by node, which
samples of the pool are trained on and which are held out (as many as in the run), the initial parameters, and the order
of batches. All replicas train as one simulation over copies of the network, on the run's backend, stacked where that
pays: node i of replica r is node r n + i of n a network. Samples for validation stay what they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from auditing.candidates import not_comparable
from auditing.cost import cost
from auditing.networks import runs_stacked
from auditing.public_labels import PublicLabels
from auditing.views.record import FinalModel, RunRecord, shows_trained
from simulator.config.attackers import liars
from simulator.config.experiment import CheckpointSettings, EvaluateSettings, Experiment
from simulator.core import atomic
from simulator.core.damage import read_json
from simulator.core.errors import InputError, Interrupted, Problem, wrong
from simulator.core.method import traits_of
from simulator.core.node import Node
from simulator.core.observer import Observer
from simulator.core.recording import Recording
from simulator.core.samples import Samples
from simulator.core.seeding import generator
from simulator.core.strict_json import dumps
from simulator.results.checkpoint import Checkpoints
from simulator.results.partition import read_partition
from simulator.results.recordings import Recordings
from simulator.runs.launch import run_networks
from simulator.runs.run import Run

CLAIM: TypeAdapter[Any] = TypeAdapter(dict[Literal["replicas", "experiment"], int | str])
FOLDER = Path("audit/replicas")  # of the audited run
TIMES = 10  # that replicas are saved, and their accuracy shown, while they train
SHOWN_ON = 200  # test samples, for that accuracy


@dataclass(frozen=True)
class Replicas:
    """Trained replicas of a run, on disk.

    Attributes:
        path: the folder that they lie in.
        number: how many there are, M.
        nodes: how many nodes each has, n.
        experiment: what each was run with.
        node: one of the run's that they are replicas of.
    """

    path: Path
    number: int
    nodes: int
    experiment: Experiment
    node: Node

    def models(self, replica: int) -> list[FinalModel]:
        """The model of each node of a replica after the last round; only these are read.

        Raises:
            InputError: they are damaged.
        """
        saved, ids = _checkpoints(self.path, self.experiment), range(replica * self.nodes, (replica + 1) * self.nodes)
        with saved.refusing(self.experiment.rounds):
            states = saved.load(self.experiment.rounds, ids).nodes
            return [FinalModel(states[id]["parameters"], states[id].get("buffers")) for id in ids]

    def record(self, replica: int) -> RunRecord:
        """What a replica has kept: its nodes' final models, and the rounds that the run recorded.

        Raises:
            InputError: it is damaged.
        """
        recordings = Recordings(self.path / "recordings")
        rounds, first = recordings.rounds(self.number * self.nodes), replica * self.nodes
        public, trained = PublicLabels(recordings, self.node), shows_trained(self.experiment)
        models, lying = self.models(replica), frozenset(liars(self.experiment))
        return RunRecord(recordings, models, rounds, self.experiment.rounds, first, public, trained, lying)

    def member_of(self, samples: Samples) -> NDArray[np.bool_]:
        """Whether each replica trained on a sample, at the node whose pool it is from; bool [M, N]."""
        return self._mask[:, samples.index.numpy()]

    @cached_property
    def _mask(self) -> NDArray[np.bool_]:
        """Who trained on what, bool [M, rows of the training arrays]; pools do not overlap, so rows tell nodes."""
        saved = read_partition(self.path / "partition.npz", self.number * self.nodes)
        arrays = {name: saved[f"{name}_index"] for name in ("train", "validation", "held_out")}
        mask = np.zeros((self.number, 1 + max(int(rows.max(initial=0)) for rows in arrays.values())), dtype=np.bool_)
        mask[saved["train_node"] // self.nodes, arrays["train"]] = True
        return mask


class RecordingsKeeper(Observer):
    """Keeps what the replicas' nodes record, as the run did; not the marks of its canaries, which no view is of."""

    def __init__(self, path: Path) -> None:
        self._recordings = Recordings(path / "recordings")

    def kept(self, recording: Recording) -> None:
        """Save what a node recorded in a round."""
        if recording.folder == "recordings":
            self._recordings.save(recording)


def train(run: Run, number: int, observers: Sequence[Observer] = ()) -> Replicas:
    """The ``number`` replicas of ``run``: those that there are, or new ones; continued where it was stopped.

    Raises:
        InputError: the run held no samples out, trained on a coreset, has not finished or has no rounds in step, or
            there are other replicas.
        Interrupted: Ctrl-C; what was trained is kept.
        RunError: training could not go on.
    """
    if problems := list(not_replicable(run)):
        raise InputError(*problems)
    experiment = run.experiment
    path, ours = run.path / FOLDER, _experiment(experiment, number)
    _claim(path, {"replicas": number, "experiment": experiment.digest()})
    saved = _checkpoints(path, ours)
    if ours.rounds not in saved.rounds():
        watching, note = [RecordingsKeeper(path), *observers], f"{cost(run, number)}"
        trained = _stacked(ours, run)
        if run_networks(trained, seeds(experiment.seed, number), path, saved, watching, [note]) == "interrupted":
            done = f"the replicas were stopped after round {max(saved.rounds(), default=0)} of {ours.rounds}."
            raise Interrupted(f"{done}\n    The same command goes on from there.")
    return Replicas(path, number, run.directory.topology.num_nodes, ours, run.nodes[0])


def seeds(seed: int, number: int) -> list[int]:
    """The seed of each replica of a run with ``seed``, for all that is its own."""
    return [int(generator(seed, "audit.replicas", round=replica).integers(2**63)) for replica in range(number)]


def not_replicable(run: Run) -> Iterator[Problem]:
    """What keeps ``run`` from having replicas."""
    experiment = run.experiment
    yield from not_comparable(experiment)
    if experiment.mode == "asynchronous":
        what = "an asynchronous run has no replicas: who meets whom, and when, depends on all nodes of a simulation."
        yield Problem("mode", what, "Audit it by attacks that need none, without --replicas.")
    if run.nodes[0].round < experiment.rounds:
        what = f"stopped after round {run.nodes[0].round} of {experiment.rounds}; its replicas would not."
        yield Problem(str(run.path), what, f"Finish it first: rumormill resume {run.path}")


def _experiment(experiment: Experiment, number: int) -> Experiment:
    """Trains the same models, and says now and then how that gets on; nothing else of it is kept."""
    every = max(1, experiment.rounds // TIMES)
    shown = min(SHOWN_ON, experiment.data.test_samples or SHOWN_ON)
    changes = {
        "name": f"{number} replicas of {experiment.name}",
        "data": experiment.data.model_copy(update={"test_samples": shown}),
        "clock": None,
        "evaluate": EvaluateSettings(every=every),
        "checkpoint": CheckpointSettings(every=every),
    }
    return experiment.model_copy(update=changes)


def _stacked(experiment: Experiment, run: Run) -> Experiment:
    """The same, with nodes trained as one program where that can be and pays; no clock decides, so it can go on."""
    stackable = all(traits_of(settings).stackable for settings in experiment.methods)
    if experiment.training.trainer == "auto" or not stackable:
        return experiment
    if not runs_stacked(run.blueprint.module(), run.nodes[0].data):
        return experiment
    return experiment.model_copy(update={"training": experiment.training.model_copy(update={"trainer": "stacked"})})


def _claim(path: Path, content: Mapping[str, Any]) -> None:
    """Make the folder for these replicas, or find that it is theirs.

    Raises:
        InputError: it holds others.
    """
    file = path / "replicas.json"
    if not file.exists():
        path.mkdir(parents=True, exist_ok=True)
        atomic.write(file, dumps(content) + "\n")
    found = read_json(file, CLAIM)
    if found != content:
        same = found["experiment"] == content["experiment"]
        what = f"holds {found['replicas']} replicas{'' if same else ' of another experiment'}."
        advice = f"Ask for --replicas {found['replicas']}, or" if same else "To make new ones,"
        raise wrong(str(path), what, f"{advice} delete the folder.")


def _checkpoints(path: Path, experiment: Experiment) -> Checkpoints:
    return Checkpoints(path / "checkpoints", experiment.digest(), keep=1)
