"""A run on one line: what it is called, how far it is, what it measured last, and what it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import nan
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from simulator.core.damage import read_json, reading
from simulator.core.errors import InputError
from simulator.results import records
from simulator.results.headline import Headline
from simulator.results.places import EXPERIMENT
from simulator.results.runs_folder.disk import sizes
from simulator.results.runs_folder.experiment_head import read_head
from simulator.results.runs_folder.measured import audits_of, last_evaluation, rounds_done, seconds_a_round

State = Literal["running", "finished", "stopped", "failed", "damaged"]
STATES: Mapping[str, State] = {"finished": "finished", "failed": "failed"}  # by status; otherwise it was stopped
BEFORE = datetime.fromtimestamp(0, UTC)  # where nothing tells


@dataclass(frozen=True)
class RunSummary:
    """What can be told of a run without reading much of it.

    Attributes:
        path: its directory.
        state: "stopped" where it was interrupted or cut off, "damaged" where something cannot be read.
        why: it is damaged, failed or ended early, in words.
        holder: the process that writes into it at this moment: of the run itself, of an audit or a report.
        name: of the experiment; that of the directory where it cannot be read.
        rounds: how many are planned, and ``done`` how many are.
        seconds_left: of a running run, by the pace of its last rounds, evaluations not counted; NaN: not known.
        started: when it started, or was last resumed; in UTC.
        figures: its metrics by name: of the whole network when it was last evaluated, and audit/<audit>/<name>.
        audits: names of those that have ended.
        bytes: on the disk, by folder; see `simulator.results.runs_folder.disk`.
        sweep: what its sweep says of it; empty where it is of none.
    """

    path: Path
    state: State
    why: str = ""
    holder: str | None = None
    name: str = ""
    seed: int = 0
    rounds: int = 0
    done: int = 0
    seconds_left: float = nan
    started: datetime = BEFORE
    figures: Mapping[str, float] = field(default_factory=dict)
    audits: tuple[str, ...] = ()
    bytes: Mapping[str, int] = field(default_factory=dict)
    sweep: Mapping[str, Any] = field(default_factory=dict)

    @property
    def directory(self) -> str:
        """The directory's name, as text that can be written anywhere."""
        return self.path.name.encode(errors="replace").decode()

    @property
    def headline(self) -> Headline:
        """The score of its task."""
        return Headline.among(self.figures)

    @property
    def score(self) -> float:
        """The nodes' mean score at the last evaluation; NaN before that."""
        return self.figures.get(self.headline.mean, nan)

    @property
    def size(self) -> int:
        """All its bytes."""
        return sum(self.bytes.values())

    @property
    def share_done(self) -> float:
        """Of its rounds, from 0 to 1."""
        return min(1.0, self.done / self.rounds) if self.rounds else 0.0

    def figure(self, name: str) -> float:
        """One of its `figures`, or of what `COLUMNS` names; NaN where it has no such."""
        return COLUMNS[name](self) if name in COLUMNS else self.figures.get(name, nan)


COLUMNS: Mapping[str, Callable[[RunSummary], float]] = {
    "score": lambda run: run.score,
    "rounds": lambda run: run.done,
    "size": lambda run: run.size,
    "started": lambda run: run.started.timestamp(),
}


def summarize(path: Path, by: str | None) -> RunSummary | None:
    """The run at ``path``, whatever its state, which the process ``by`` has; None where there is none any more."""
    try:
        return _read(path, by)
    except InputError as error:
        if not (path / EXPERIMENT).exists():
            return None
        problem = error.problems[0]
        why = f"{problem.where.replace(f'{path}/', '')}: {problem.what}"
        return RunSummary(path, "damaged", why, by, name=path.name, started=_written(path), bytes=sizes(path))


def _read(path: Path, by: str | None) -> RunSummary:
    head = read_head(path / EXPERIMENT)
    provenance = _optional(path / "provenance.json", records.PROVENANCE)
    sweep = _optional(path / "sweep.json", records.SWEEP_LABEL)
    status = provenance.get("status", "running")
    running = by is not None and status == "running"
    done = rounds_done(path, running)
    audits = audits_of(path)
    of_audits = {f"audit/{audit}/{name}": value for audit in audits for name, value in audits[audit].items()}
    return RunSummary(
        path,
        state="running" if running else STATES.get(status, "stopped"),
        why=str(sweep.get("failure") or provenance.get("ended_early") or ""),
        holder=by,
        **head._asdict(),
        done=done,
        seconds_left=(head.rounds - done) * (seconds_a_round(path) or nan) if running else nan,
        started=_started(path, provenance),
        figures={**last_evaluation(path), **of_audits},
        audits=tuple(audits),
        bytes=sizes(path),
        sweep=sweep,
    )


def _optional(file: Path, of: TypeAdapter[Any]) -> dict[str, Any]:
    found: dict[str, Any] = read_json(file, of) if file.exists() else {}
    return found


def _started(path: Path, provenance: Mapping[str, Any]) -> datetime:
    if "started" not in provenance:
        return _written(path)
    with reading(path / "provenance.json"):
        return datetime.fromisoformat(provenance["started"]).astimezone(UTC)


def _written(path: Path) -> datetime:
    """When its experiment was."""
    with suppress(OSError):
        return datetime.fromtimestamp((path / EXPERIMENT).stat().st_mtime, UTC)
    return BEFORE
