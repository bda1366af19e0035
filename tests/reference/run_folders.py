"""Run directories written by hand, as far as a listing looks at them."""

import json
from pathlib import Path
from typing import Any

import yaml

from simulator.results.recorder import FILES
from topologies import Topology


def write_run(
    path: Path,
    score: float = 0.5,
    status: str = "finished",
    rounds: int = 20,
    done: int | None = None,
    every: int = 10,
    nodes: int = 2,
    seed: int = 0,
    name: str = "by-hand",
    started: str = "2026-01-02T03:04:05+00:00",
    sweep: dict[str, Any] | None = None,
    **settings: Any,
) -> Path:
    """A run that was measured every so many rounds, up to ``done``: its mean score rises to ``score`` at the end."""
    path.mkdir(parents=True)
    base = {"name": name, "description": "Written by hand.", "seed": seed, "rounds": rounds}
    topology = {"graph": "ring", "nodes": nodes}
    experiment = {**base, "topology": topology, "methods": [], "backend": {"name": "local"}, **settings}
    (path / "experiment.yaml").write_text(yaml.safe_dump(experiment, sort_keys=False))
    graph = Topology.build("ring" if nodes > 1 else "complete", nodes)
    (path / "topology.json").write_text(json.dumps(graph.to_json()))
    (path / "provenance.json").write_text(json.dumps({"started": started, "status": status}))
    if sweep is not None:
        (path / "sweep.json").write_text(json.dumps(sweep))
    for file in FILES:
        (path / file).touch()
    last = rounds if done is None else done
    for round in range(0, last + 1, every):
        evaluate(path, round, score * (round + 1) / (last + 1), nodes, every)
    return path


def evaluate(path: Path, round: int, score: float, nodes: int = 2, every: int = 10) -> None:
    """Append an evaluation, as a recorder does; a round took half a second."""
    of_nodes = [(node, "test/accuracy", score) for node in range(nodes)]
    of_all = {"test/accuracy/mean": score, "consensus/distance": 1 - score, "bytes/sent": 1000 * nodes * round}
    found = [*of_nodes, *((None, name, value) for name, value in of_all.items())]
    _append(path / "metrics.jsonl", [{"round": round, "node": n, "name": name, "value": v} for n, name, v in found])
    rounds = every if round else 0
    _append(path / "timing.jsonl", [{"round": round, "seconds": rounds / 2, "rounds": rounds, "node_steps": 1}])


def audit_by_hand(path: Path, name: str = "membership", **figures: float) -> None:
    """An audit of the run at ``path`` that has ended with these figures."""
    folder = path / "audit" / name
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps(figures))
    (folder / "result.json").write_text("{}")


def add_folder(path: Path, size: int) -> None:
    """A folder, such as that of checkpoints, with one file of so many bytes."""
    (path / "round-000010").mkdir(parents=True)
    (path / "round-000010" / "file").write_bytes(bytes(size))


def _append(file: Path, records: list[dict[str, Any]]) -> None:
    with file.open("a") as stream:
        stream.writelines(json.dumps(record) + "\n" for record in records)
