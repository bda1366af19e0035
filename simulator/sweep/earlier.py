"""What a folder already holds of a sweep: runs to skip and runs to continue."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from simulator.core.errors import InputError
from simulator.results.checkpoint import Checkpoints
from simulator.results.places import runs_in
from simulator.results.run_directory import RunDirectory
from simulator.runs.run import experiment_of
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


def earlier_runs(out: Path) -> tuple[dict[str, Earlier], list[str]]:
    """By identity, the run in ``out`` that got furthest, of equals the latest; and what is wrong with unusable ones."""
    found: dict[str, Earlier] = {}
    unusable: list[str] = []
    for path in runs_in(out):
        try:
            key, run = _judged(RunDirectory(path))
        except InputError as error:  # damaged, or of another program or version
            unusable.append(f"{path} is left out: {error}")
            continue
        if run and (key not in found or _rank(run) >= _rank(found[key])):
            found[key] = run
    return found, unusable


def label_run(path: Path, run: SweepRun, failure: str = "") -> None:
    """Write ``sweep.json``: which run of the sweep this is, and why it failed if it did."""
    content = run.to_json() | ({"failure": failure} if failure else {})
    if RunDirectory(path).sweep_label() != content:
        RunDirectory(path).write_json(FILE, content)


def _judged(run: RunDirectory) -> tuple[str, Earlier | None]:
    """The identity of ``run`` before what it left open, such as ``trainer: auto``, was decided; and how far it got."""
    experiment, label = experiment_of(run), run.sweep_label()
    key, failure = label.get("identity") or identity(experiment), label.get("failure", "")
    status = run.provenance().get("status")
    if status == "finished":
        run.metrics()  # whoever compares the runs will want them
        return key, Earlier(run.path, "finished")
    if status == "failed" and failure:
        return key, Earlier(run.path, "failed", failure)
    has_checkpoint = bool(Checkpoints(run.path / "checkpoints", experiment.digest()).rounds())
    return key, Earlier(run.path, "resumable") if has_checkpoint else None


def _rank(run: Earlier) -> int:
    return PREFERENCE.index(run.state)
