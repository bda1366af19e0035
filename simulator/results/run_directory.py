"""The run directory: the one place a run writes to, and all that reports and audits read.

::

    experiment.yaml  provenance.json  topology.json  partition.npz  sweep.json (of a run that a sweep made)
    metrics.jsonl    {"round": 12, "node": 3, "name": "test/accuracy", "value": 0.81}; node null = whole network;
                     a value may be "NaN", "Infinity" or "-Infinity"
    timing.jsonl     {"round": 12, "seconds": 1.2, "node_steps": 304}; apart, since one seed gives the same metrics
    messages.jsonl   {"round": 12, "sender": 0, "receiver": 1, "wire": 82104, "parts": {"parameters": 81960}}
    checkpoints/round-000050/    artifacts/    audit/<name>/    figures/    report.html
    views/round-000050/          what the nodes kept of that round for audits, where `record` asks for it
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from simulator.core.errors import wrong
from simulator.core.report import Artifact, Metric
from simulator.core.strict_json import dumps, loads
from topologies import Topology

AUDIT_METRICS = "metrics.json"  # in the folder of an audit: what runs can be compared by


@dataclass(frozen=True)
class RunDirectory:
    """One run on disk; reading is lazy and cached."""

    path: Path

    @classmethod
    def create(cls, parent: Path, name: str, seed: int) -> RunDirectory:
        """A fresh directory ``parent/<utc>-<name>-s<seed>``.

        Raises:
            InputError: ``parent`` is itself a run, the directory exists, or it cannot be made.
        """
        if (parent / "experiment.yaml").exists():
            raise wrong(
                "--out",
                f"{parent} is itself a run directory.",
                f"Choose another folder, or continue it: rumormill resume {parent}",
            )
        path = parent / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{name}-s{seed}"
        try:
            path.mkdir(parents=True)
        except FileExistsError as error:
            raise wrong(
                "--out", f"{path} exists already.", "Choose another folder with --out, or wait a second."
            ) from error
        except OSError as error:
            raise wrong(
                "--out", f"{path} cannot be made: {error.strerror}.", "Choose a folder you may write to with --out."
            ) from error
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """An existing run.

        Raises:
            InputError: there is no run at ``path``.
        """
        if not (path / "experiment.yaml").is_file():
            raise wrong(
                str(path),
                "is not a run directory: it has no experiment.yaml.",
                "Give the path that `rumormill run` printed last.",
            )
        return cls(path)

    def copy_records(self, other: RunDirectory, round: int) -> None:
        """Take over what ``other`` recorded; artifacts and views only of its first ``round`` rounds.

        The lines of later rounds are cut off when the checkpoint of ``round`` is restored.
        """
        for file in other.path.glob("*.jsonl"):
            shutil.copy(file, self.path)
        (self.path / "artifacts").mkdir()
        for file in (other.path / "artifacts").glob("*-round-*-node-*.npz"):
            if int(file.stem.rsplit("-round-", 1)[1].split("-node-")[0]) <= round:
                shutil.copy(file, self.path / "artifacts")
        for folder in (other.path / "views").glob("round-*"):
            if int(folder.name.removeprefix("round-")) <= round:
                shutil.copytree(folder, self.path / "views" / folder.name)

    def write_json(self, name: str, content: Any) -> None:
        """Write ``content`` as an indented JSON file."""
        (self.path / name).write_text(dumps(content, indent=2) + "\n")

    def read_json(self, name: str) -> Any:
        """The content of a JSON file.

        Raises:
            InputError: it is missing or damaged.
        """
        try:
            return loads((self.path / name).read_text())
        except (OSError, ValueError) as error:
            raise wrong(
                str(self.path / name),
                f"cannot be read: {error}.",
                "The run directory is damaged or of another program.",
            ) from error

    @cached_property
    def experiment(self) -> Mapping[str, Any]:
        """The resolved experiment, as plain data."""
        content: Mapping[str, Any] = yaml.safe_load((self.path / "experiment.yaml").read_text())
        return content

    @cached_property
    def topology(self) -> Topology:
        """The graph and its mixing matrix."""
        return Topology.from_json(self.read_json("topology.json"))

    @cached_property
    def _metrics(self) -> list[Metric]:
        return [Metric(**line) for line in read_lines(self.path / "metrics.jsonl")]

    def metrics(self) -> list[Metric]:
        """All metrics, in the order written."""
        return self._metrics

    def series(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Rounds [T] and values [T, nodes] of a metric recorded at every node."""
        rows: dict[int, dict[int, float]] = {}
        for metric in self._metrics:
            if metric.name == name and metric.node is not None:
                rows.setdefault(metric.round, {})[metric.node] = metric.value
        rounds = sorted(rows)
        nodes = range(self.topology.num_nodes)
        values = np.array([[rows[r].get(node, np.nan) for node in nodes] for r in rounds], dtype=np.float64)
        return np.array(rounds, dtype=np.int64), values.reshape(len(rounds), len(nodes))

    def network_series(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Rounds [T] and values [T] of a metric of the whole network."""
        found = [(m.round, m.value) for m in self._metrics if m.name == name and m.node is None]
        return np.array([r for r, _ in found], dtype=np.int64), np.array([v for _, v in found], dtype=np.float64)

    def audit_metrics(self) -> dict[str, float]:
        """What the run's audits found, as ``audit/<audit>/<name>``."""
        found = {file.parent.name: loads(file.read_text()) for file in self.path.glob(f"audit/*/{AUDIT_METRICS}")}
        return {f"audit/{audit}/{name}": value for audit in sorted(found) for name, value in found[audit].items()}

    def messages(self) -> Iterator[dict[str, Any]]:
        """All messages' sizes, in the order sent."""
        return read_lines(self.path / "messages.jsonl")

    def timing(self) -> list[dict[str, Any]]:
        """Seconds and node-steps between evaluations."""
        return list(read_lines(self.path / "timing.jsonl"))

    def artifacts(self, name: str) -> list[Artifact]:
        """Everything saved under ``name``, by round and node."""
        found = []
        for file in sorted((self.path / "artifacts").glob(f"{name}-round-*-node-*.npz")):
            round, node = (int(part) for part in file.stem.removeprefix(f"{name}-round-").split("-node-"))
            with np.load(file) as arrays:
                found.append(Artifact(round, node, dict(arrays)))
        return found

    def partition(self) -> dict[str, NDArray[Any]]:
        """``partition.npz``: which sample is where, and what is known of the public set."""
        with np.load(self.path / "partition.npz") as arrays:
            return dict(arrays)


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a JSON-lines file; a last line cut short by a crash is left out."""
    if not path.exists():
        return
    with path.open() as file:
        for line in file:
            if not line.endswith("\n"):
                return
            yield loads(line)
