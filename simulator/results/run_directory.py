"""The run directory: the one place a run writes to, and all that reports and audits read.

::

    experiment.yaml  provenance.json  topology.json  partition.npz  sweep.json (of a run that a sweep made)
    metrics.jsonl    {"round": 12, "node": 3, "name": "test/accuracy", "value": 0.81}; node null = whole network;
                     a value may be "NaN", "Infinity" or "-Infinity"
    timing.jsonl     {"round": 12, "seconds": 1.2, "node_steps": 304}; apart, since one seed gives the same metrics
    messages.arrow   a row for each part of each message: see `simulator.results.message_log`
    checkpoints/round-000050/    artifacts/    audit/<name>/    figures/    report.html
    views/round-000050/          what the nodes kept of that round for audits, where `record` asks for it
    code/                        the user's files that the experiment names, as they were executed
    .lock                        see `simulator.results.lock`

Every file is written whole or not at all, and one that cannot be read is an `InputError` that names it.
"""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import TypeAdapter

from simulator.core import atomic
from simulator.core.damage import Arrays, read_arrays, read_json, read_lines, reading
from simulator.core.errors import InputError, wrong
from simulator.core.plain_yaml import read_yaml
from simulator.core.report import STATISTICS, Artifact, Metric
from simulator.core.strict_json import dumps
from simulator.results import message_log, records
from simulator.results.headline import Headline
from simulator.results.partition import read_partition
from simulator.results.places import AUDIT_METRICS, MESSAGES
from topologies import Topology

OLDER = re.compile(r"0\.1(\.|$)")  # versions whose run directories have other names in them


@dataclass(frozen=True)
class RunDirectory:
    """One run on disk; reading is lazy and cached."""

    path: Path

    @classmethod
    def draft(cls, parent: Path) -> RunDirectory:
        """A hidden directory in ``parent``, which is no run until it is `named`.

        Raises:
            InputError: ``parent`` is itself a run, or the directory cannot be made.
        """
        if (parent / "experiment.yaml").exists():
            raise wrong(
                "--out",
                f"{parent} is itself a run directory.",
                f"Choose another folder, or continue it: rumormill resume {parent}",
            )
        path = parent / atomic.draft_name()
        try:
            path.mkdir(parents=True)
        except OSError as error:
            raise _cannot_be_made(path, error) from error
        return cls(path)

    def named(self, name: str, seed: int) -> RunDirectory:
        """Move a draft to ``<utc>-<name>-s<seed>`` beside it; of runs that start in one second, the later say so.

        Raises:
            InputError: it cannot be moved.
        """
        now = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        for start in chain([now], (f"{now}.{number}" for number in count(2))):  # by name they are sorted by time
            path = self.path.with_name(f"{start}-{name}-s{seed}")
            try:
                if not path.exists():  # an empty directory would be replaced
                    self.path.rename(path)
                    return RunDirectory(path)
            except OSError as error:  # another process was faster
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                    raise _cannot_be_made(path, error) from error
        raise AssertionError("there is no last number")

    @classmethod
    def open(cls, path: str | Path) -> RunDirectory:
        """An existing run.

        Raises:
            InputError: there is no run at ``path``, or an earlier version has written it.
        """
        path = Path(path)
        if not (path / "experiment.yaml").is_file():
            raise wrong(
                str(path),
                "is not a run directory: it has no experiment.yaml.",
                "Give the path that `rumormill run` printed last.",
            )
        directory = cls(path)
        written_by = directory.provenance().get("versions", {}).get("rumormill", "")
        if OLDER.match(written_by) or (path / "views").is_dir():  # a run that ended early may not say
            what = "was written by rumormill 0.1, which named files otherwise and counted rounds from 0."
            raise wrong(str(path), what, "Read it with that version, or run it again.")
        return directory

    @property
    def attackers(self) -> frozenset[int]:
        """The nodes that lied; mostly none."""
        return frozenset(node for block in self.experiment.get("adversaries", ()) for node in block["nodes"])

    @cached_property
    def headline(self) -> Headline:
        """The score of the run's task."""
        return Headline.among(metric.name for metric in self.metrics() if metric.node is None)

    def copy_records(self, other: RunDirectory, round: int) -> None:
        """Take over what ``other`` recorded; artifacts and views only of its first ``round`` rounds.

        The lines of later rounds are cut off when the checkpoint of ``round`` is restored.
        """
        for file in (*other.path.glob("*.jsonl"), *other.path.glob("*.arrow")):
            shutil.copy(file, self.path)
        (self.path / "artifacts").mkdir()
        for file in (other.path / "artifacts").glob("*-round-*-node-*.npz"):
            if int(file.stem.rsplit("-round-", 1)[1].split("-node-")[0]) <= round:
                shutil.copy(file, self.path / "artifacts")
        for folder in (other.path / "recordings").glob("round-*"):
            if int(folder.name.removeprefix("round-")) <= round:
                shutil.copytree(folder, self.path / "recordings" / folder.name)

    def write_json(self, name: str, content: Any) -> None:
        """Write ``content`` as an indented JSON file."""
        atomic.write(self.path / name, dumps(content, indent=2) + "\n")

    def read_json(self, name: str, of: TypeAdapter[Any] | None = None) -> Any:
        """The content of a JSON file, which is as ``of`` says.

        Raises:
            InputError: it is missing or damaged.
        """
        return read_json(self.path / name, of)

    @cached_property
    def experiment(self) -> Mapping[str, Any]:
        """The resolved experiment, as plain data."""
        file = self.path / "experiment.yaml"
        with reading(file):
            content: Mapping[str, Any] = read_yaml(file.read_text(encoding="utf-8"), str(file)).content
            if not isinstance(content, dict):
                raise TypeError("it holds no settings")
            if not isinstance(content["name"], str) or type(content["seed"]) is not int:
                raise ValueError("name is no text, or seed no whole number")
            dumps(content)  # what no experiment can hold, such as a date
        return content

    def provenance(self) -> dict[str, Any]:
        """Where the run comes from and how it ended; empty where it has not begun."""
        return self._optional("provenance.json", records.PROVENANCE)

    @property
    def _finished(self) -> bool:
        return self.provenance().get("status") == "finished"

    @cached_property
    def not_collected(self) -> list[int]:
        """The nodes of a deployment that it was collected without; mostly none."""
        return list(self.provenance().get("not_collected", ()))

    def sweep_label(self) -> dict[str, Any]:
        """Which run of a sweep this is; empty where it is of none."""
        return self._optional("sweep.json", records.SWEEP_LABEL)

    def statistics(self) -> dict[str, Any]:
        """What the sites agreed on before round 1: "names" of quantities, "count", "mean" and "std"; or nothing."""
        return self._optional(STATISTICS, records.STATISTICS)

    def _optional(self, name: str, of: TypeAdapter[Any]) -> dict[str, Any]:
        found: dict[str, Any] = self.read_json(name, of) if (self.path / name).exists() else {}
        return found

    @cached_property
    def topology(self) -> Topology:
        """The graph and its mixing matrix."""
        file, planned = self.path / "topology.json", self.experiment.get("topology")
        content = self.read_json("topology.json")
        with reading(file):
            topology = Topology.from_json(content)
            nodes = planned.get("nodes") if isinstance(planned, Mapping) else None
            if nodes not in (None, topology.num_nodes):
                raise ValueError(f"it has {topology.num_nodes} nodes, where the experiment has {nodes}")
        return topology

    @cached_property
    def _metrics(self) -> list[Metric]:
        file = self.path / "metrics.jsonl"
        found = [Metric(**line) for line in read_lines(file, records.METRIC)]
        with reading(file):
            if not found and self._finished:
                raise ValueError("it is empty, and the run has finished")
        return found

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
        files = sorted(self.path.glob(f"audit/*/{AUDIT_METRICS}"))
        found = {file.parent.name: read_json(file, records.AUDIT_METRICS) for file in files}
        return {f"audit/{audit}/{name}": value for audit in found for name, value in found[audit].items()}

    def messages(self) -> Iterator[dict[str, Any]]:
        """All messages' sizes, in the order sent: see `simulator.results.message_log.records`."""
        return message_log.records(self.path / MESSAGES, whole=self._finished)

    def traffic(self) -> pa.Table:
        """What messages add up to, by link and part: see `simulator.results.message_log.added_up`."""
        return message_log.added_up(self.path / MESSAGES, whole=self._finished)

    def timing(self) -> list[dict[str, Any]]:
        """Seconds and node-steps between evaluations."""
        return list(read_lines(self.path / "timing.jsonl", records.TIMING))

    def artifacts(self, name: str) -> list[Artifact]:
        """Everything saved under ``name``, by round and node."""
        found = []
        for file in sorted((self.path / "artifacts").glob(f"{name}-round-*-node-*.npz")):
            with reading(file):
                round, node = (int(part) for part in file.stem.removeprefix(f"{name}-round-").split("-node-"))
            found.append(Artifact(round, node, read_arrays(file)))
        return found

    def partition(self) -> Arrays:
        """``partition.npz``: which sample is where, and what is known of the public set."""
        return read_partition(self.path / "partition.npz", self.topology.num_nodes)


def _cannot_be_made(path: Path, error: OSError) -> InputError:
    advice = "Choose a folder you may write to with --out."
    return wrong("--out", f"{path} cannot be made: {error.strerror}.", advice)
