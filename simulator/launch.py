"""Run an experiment into a run directory, or continue one that was stopped."""

from __future__ import annotations

import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from simulator.build import Simulation
from simulator.core.method import METHODS
from simulator.core.node import Node
from simulator.core.observer import Observer
from simulator.core.report import Metric, Section
from simulator.experiment import Experiment
from simulator.parsing import load_experiment
from simulator.results.checkpoint import Checkpoint, Checkpoints
from simulator.results.recorder import Recorder
from simulator.results.report import write_report
from simulator.results.run_directory import RunDirectory

PACKAGES = ("rumormill", "torch", "numpy", "networkx", "scikit-learn", "pydantic")


@dataclass(frozen=True)
class Run:
    """A run that has ended: "finished" or "interrupted"."""

    directory: RunDirectory
    nodes: list[Node]
    status: str

    @property
    def path(self) -> Path:
        """Its directory."""
        return self.directory.path

    def metrics(self) -> list[Metric]:
        """All metrics, in the order written."""
        return self.directory.metrics()


def run(experiment: Experiment, out: str | Path = "runs", observers: Sequence[Observer] = ()) -> Run:
    """Run ``experiment`` into a new directory under ``out``.

    Raises:
        InputError: something is wrong with the data or the place to write to; nothing was computed.
        RunError: the run could not go on; what it wrote stays readable.
    """
    simulation = Simulation.of(experiment)
    directory = RunDirectory.create(Path(out), experiment.name, experiment.seed)
    (directory.path / "experiment.yaml").write_text(experiment.to_yaml())
    directory.write_json("topology.json", simulation.topology.to_json())
    simulation.data.save_partition(directory.path / "partition.npz")
    return _run(simulation, directory, observers, None)


def resume(path: str | Path, round: int | None = None, observers: Sequence[Observer] = ()) -> Run:
    """Continue the run at ``path``, from its last checkpoint or that of ``round``, as if it had never stopped.

    Raises:
        InputError: there is no run there, or no checkpoint that can be used.
        RunError: the run could not go on.
    """
    directory = RunDirectory.open(Path(path))
    experiment = load_experiment(directory.experiment)
    checkpoint = Checkpoints(directory.path / "checkpoints", experiment.digest()).load(round)
    return _run(Simulation.of(experiment), directory, observers, checkpoint)


def write_run_report(directory: RunDirectory) -> Path:
    """Write ``report.html`` of a run, with the sections of its methods; returns its path."""
    sections: list[Section] = []
    for settings in load_experiment(directory.experiment).methods:
        sections += METHODS.load(settings.name).sections(settings, directory)
    return write_report(directory, sections)


def _run(
    simulation: Simulation, directory: RunDirectory, observers: Sequence[Observer], checkpoint: Checkpoint | None
) -> Run:
    began = time.perf_counter()
    everyone = [Recorder(directory.path), *observers]
    engine = simulation.engine(Checkpoints(directory.path / "checkpoints", simulation.experiment.digest()), everyone)
    provenance = _provenance()
    directory.write_json("provenance.json", provenance | {"status": "running"})
    status = "failed"
    simulation.start()
    try:
        for observer in everyone:
            observer.started(simulation.info(directory.path, checkpoint.round if checkpoint else 0))
        if checkpoint:
            engine.restore(checkpoint)
        status = engine.run()
    except KeyboardInterrupt:
        status = "interrupted"
    finally:
        simulation.backend.close()
        with suppress(OSError) if status == "failed" else nullcontext():  # a full disk has been reported already
            for observer in everyone:
                observer.finished(status)
            directory.write_json(
                "provenance.json", provenance | {"status": status, "seconds": round(time.perf_counter() - began, 3)}
            )
    return Run(RunDirectory(directory.path), simulation.nodes, status)


def _provenance() -> dict[str, Any]:
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "versions": {name: version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "git": _git("rev-parse", "HEAD"),
        "git_changes": bool(_git("status", "--porcelain")),
    }


def _git(*arguments: str) -> str | None:
    """What git says of the checkout this code runs from; None where it is installed without one."""
    try:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
