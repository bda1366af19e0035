"""A run directory written by hand, with numbers that can be checked by hand."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml

from simulator.core.message import Envelope
from simulator.results import message_log
from simulator.results.places import MESSAGES
from simulator.results.run_directory import RunDirectory
from topologies import Topology


@dataclass
class Sketch:
    """What a run shall have done. Node i holds i + 1 samples, at most 99; all samples have the classes in turn."""

    nodes: int = 4
    rounds: int = 20
    every: int = 10
    measured: int = 20
    status: str = "finished"
    name: str = "ring-by-hand"
    test: str = "common"
    classes: tuple[str, ...] = ("cat", "dog", "<owl>")
    accuracies: dict[int, list[float]] = field(default_factory=dict)

    def accuracy(self, round: int) -> list[float]:
        """Rises to 0.6, 0.7, 0.8, ... at the nodes."""
        start = 0.1 + 0.5 * round / self.rounds
        return self.accuracies.get(round, [start + 0.1 * node for node in range(self.nodes)])

    def topology(self) -> Topology:
        return Topology.build("ring" if self.nodes > 1 else "complete", self.nodes)


def message(round: int, sender: int, receiver: int) -> Envelope:
    """Every message weighs 4000 bytes of parameters; node 0 adds labels in every tenth round."""
    parts = {"parameters": 4000} | ({"idkd.labels": 600} if sender == 0 and round % 10 == 0 else {})
    return Envelope(sender, receiver, round, parts, sum(parts.values()) + 144)


def write_sketch(path: Path, sketch: Sketch) -> RunDirectory:
    path.mkdir()
    run, topology = RunDirectory(path), sketch.topology()
    run.write_json("topology.json", topology.to_json())
    started = {"started": "2025-01-02T03:04:05+00:00", "command": ["rumormill", "run", "a b"]}
    run.write_json("provenance.json", {**started, "status": sketch.status})
    experiment = {
        "name": sketch.name,
        "description": "Written by hand.",
        "seed": 7,
        "rounds": sketch.rounds,
        "topology": {"graph": topology.graph_name, "nodes": sketch.nodes},
        "data": {
            "dataset": {"name": "digits"},
            "partition": {"name": "dirichlet", "alpha": 0.1},
            "public": [],
            "test": sketch.test,
        },
        "model": {"name": "mlp", "hidden": [64]},
        "methods": [],
    }
    (path / "experiment.yaml").write_text(yaml.safe_dump(experiment, sort_keys=False))
    rounds = range(0, sketch.measured + 1, sketch.every)
    _write_lines(path / "metrics.jsonl", [line for round in rounds for line in _metrics(sketch, round)])
    _write_lines(
        path / "timing.jsonl", [{"round": r, "seconds": 2.0 if r else 0.0, "node_steps": 60 * r} for r in rounds]
    )
    rounds = range(1, sketch.measured + 1)
    log = [message_log.as_batch([message(round, *edge) for edge in topology.edges()]) for round in rounds]
    (path / MESSAGES).write_bytes(b"".join([message_log.BEGINNING, *log]))
    _write_partition(path / "partition.npz", sketch)
    return run


def _metrics(sketch: Sketch, round: int) -> list[dict[str, object]]:
    accuracy = sketch.accuracy(round)
    nodes = [(node, "test/accuracy", value) for node, value in enumerate(accuracy)]
    nodes += [(node, "test/loss", 2 - value) for node, value in enumerate(accuracy)]
    nodes += [(node, "train/loss", 1.5 - value) for node, value in enumerate(accuracy) if round]
    sent = sum(4000 + 600 * (r % 10 == 0 and s == 0) for r in range(round) for s, _ in sketch.topology().edges())
    network = {
        "test/accuracy/mean": sum(accuracy) / len(accuracy),
        "test/accuracy/worst": min(accuracy),
        "test/accuracy/best": max(accuracy),
        "test/majority": 0.25,
        "consensus/test/accuracy": max(accuracy) - 0.02,
        "consensus/distance": 0.01 * round,
        "bytes/sent": sent,
    }
    everything = [*nodes, *((None, name, value) for name, value in network.items())]
    return [{"round": round, "node": node, "name": name, "value": value} for node, name, value in everything]


def _write_partition(path: Path, sketch: Sketch) -> None:
    owner = np.repeat(np.arange(sketch.nodes), np.minimum(np.arange(1, sketch.nodes + 1), 99))
    labels = np.arange(len(owner)) % len(sketch.classes)
    arrays = {"train_node": owner, "train_index": np.arange(len(owner)), "train_label": labels}
    np.savez(path, class_names=np.array(sketch.classes), **arrays)


def _write_lines(path: Path, records: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
