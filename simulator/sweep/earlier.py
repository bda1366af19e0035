"""What a folder already holds of a sweep: runs to skip and runs to continue."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from simulator.core.errors import InputError
from simulator.experiment import Experiment
from simulator.parsing import load_experiment
from simulator.results.checkpoint import Checkpoints
from simulator.results.comparison.groups import read
from simulator.results.run_directory import RunDirectory
from simulator.sweep.plan import SweepRun, identity

FILE = "sweep.json"
State = Literal["finished", "failed", "resumable"]
PREFERENCE: tuple[State, ...] = ("resumable", "failed", "finished")


@dataclass(frozen=True)
class Earlier:
    """A run that need not start anew; a failed one keeps the sweep's record of why."""

    path: Path
    state: State
    failure: str = ""


def earlier_runs(out: Path) -> dict[str, Earlier]:
    """By identity, the run in ``out`` that got furthest; of equals the latest."""
    found: dict[str, Earlier] = {}
    for file in sorted(out.glob("*/experiment.yaml")):
        with suppress(InputError):  # of another program or version: none of this sweep's
            experiment = load_experiment(file, recorded=True)
            run, key = _judged(file.parent, experiment), _asked_for(file.parent, experiment)
            if run and (key not in found or _rank(run) >= _rank(found[key])):
                found[key] = run
    return found


def label_run(path: Path, run: SweepRun, failure: str = "") -> None:
    """Write ``sweep.json``: which run of the sweep this is, and why it failed if it did."""
    content = run.to_json() | ({"failure": failure} if failure else {})
    if read(RunDirectory(path), FILE) != content:
        RunDirectory(path).write_json(FILE, content)


def _asked_for(path: Path, experiment: Experiment) -> str:
    """Identity of the experiment before what it left open, such as ``trainer: auto``, was decided."""
    recorded = read(RunDirectory(path), FILE).get("identity")
    return str(recorded) if recorded else identity(experiment)


def _judged(path: Path, experiment: Experiment) -> Earlier | None:
    directory = RunDirectory(path)
    status, failure = read(directory, "provenance.json").get("status"), read(directory, FILE).get("failure", "")
    if status == "finished":
        return Earlier(path, "finished")
    if status == "failed" and failure:
        return Earlier(path, "failed", failure)
    has_checkpoint = bool(Checkpoints(path / "checkpoints", experiment.digest()).rounds())
    return Earlier(path, "resumable") if has_checkpoint else None


def _rank(run: Earlier) -> int:
    return PREFERENCE.index(run.state)
