"""A run's summary in words, for tables, pages and programs."""

from __future__ import annotations

from math import isnan
from typing import Any

from simulator.results.formatting import MISSING, duration, megabytes, percent, significant
from simulator.results.headline import SHARES
from simulator.results.runs_folder.summary import BEFORE, COLUMNS, RunSummary


def when(run: RunSummary) -> str:
    """When it started, by the clock of this machine."""
    return MISSING if run.started == BEFORE else f"{run.started.astimezone():%Y-%m-%d %H:%M}"


def progress(run: RunSummary) -> str:
    """Rounds done, of all."""
    return f"{run.done:,}/{run.rounds:,}" if run.rounds else MISSING


def state(run: RunSummary) -> str:
    """Its state, with the time that is left where it is running, and what else is being written."""
    if run.state == "running":
        return "running" if isnan(run.seconds_left) else f"running, {duration(run.seconds_left)} left"
    return f"{run.state}, in use" if run.holder else run.state


def score(run: RunSummary) -> str:
    """Its score, and what that is."""
    return MISSING if isnan(run.score) else f"{run.headline.words} {run.headline.text(run.score)}"


def figure(run: RunSummary, name: str) -> str:
    """One of the figures that runs can be sorted by."""
    value = run.figure(name)
    if name in COLUMNS:
        return {"score": score, "rounds": progress, "size": lambda run: megabytes(run.size), "started": when}[name](run)
    if isnan(value):
        return MISSING
    return percent(value) if SHARES.intersection(name.split("/")) else significant(value)


def as_record(run: RunSummary) -> dict[str, Any]:
    """All that is known of it, as JSON."""
    return {
        "path": str(run.path).encode(errors="replace").decode(),
        "name": run.name,
        "seed": run.seed,
        "state": run.state,
        "why": run.why,
        "rounds": run.rounds,
        "done": run.done,
        "seconds_left": None if isnan(run.seconds_left) else run.seconds_left,
        "started": run.started.isoformat(),
        "figures": dict(run.figures),
        "audits": run.audits,
        "bytes": dict(run.bytes),
        "sweep": dict(run.sweep),
    }
