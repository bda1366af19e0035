"""The commands ``rumormill run``, ``resume`` and ``sweep``: whatever trains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simulator.commands.loading import loading
from simulator.commands.options import Experiment, Out, Overrides, RunPath, Track
from simulator.results.terminal import Terminal

if TYPE_CHECKING:
    from simulator.core.observer import Observer
    from simulator.results.trackers import Tracker
    from simulator.runs.run import Run

INTERRUPTED = 130


def run_command(
    experiment: Experiment,
    overrides: Overrides = None,
    out: Out = Path("runs"),
    track: Track = None,
) -> None:
    """Run an experiment and write its report; the last line printed is the run directory."""
    with loading():
        from simulator.config.parsing import load_experiment
        from simulator.runs.launch import run

    loaded = load_experiment(experiment, overrides or [])
    finish(lambda observers: run(loaded, out, observers), track)


def resume_command(
    path: RunPath,
    round: Annotated[
        int | None, typer.Option("--round", help="The checkpoint to start from; default: the last.")
    ] = None,
    track: Track = None,
) -> None:
    """Continue a run that was stopped, as if it had never been."""
    with loading():
        from simulator.runs.launch import resume

    finish(lambda observers: resume(path, round, observers), track)


def sweep_command(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="An experiment, and the seeds, grid or arms to vary.")],
    out: Out = Path("runs"),
    jobs: Annotated[
        str, typer.Option("--jobs", metavar="N", help="Runs at once; auto: as many as cores and memory are enough for.")
    ] = "1",
    minutes: Annotated[
        float | None, typer.Option("--minutes", metavar="M", help="Stop after so long; the same command goes on.")
    ] = None,
) -> None:
    """Run an experiment under many settings and seeds; what is finished in the folder already is not run again."""
    with loading():
        from simulator.results.console import Console
        from simulator.sweep import load_sweep, run_sweep
        from simulator.sweep.jobs import read_jobs

    stderr, at_once = Terminal(stderr=True), read_jobs(jobs)
    outcome = run_sweep(load_sweep(path), out, lambda: [Console(stderr)], stderr, at_once, minutes)
    for finished in outcome.paths:
        print(finished)
    if outcome.interrupted:
        raise typer.Exit(INTERRUPTED)
    if outcome.failures:
        raise typer.Exit(1)


def finish(start: Callable[[list[Observer]], Run], track: list[str] | None) -> None:
    """See the run that ``start`` makes to its end, with a live table and the trackers called ``track``; report it."""
    from simulator.results.console import Console
    from simulator.runs.report import write_run_report

    stderr = Terminal(stderr=True)
    trackers = [_tracker(name) for name in track or []]
    ended = start([Console(stderr), *trackers])
    if ended.status == "interrupted":
        stderr.print(f"Interrupted. Continue with: rumormill resume {ended.path}", soft_wrap=True)
    else:
        stderr.print(f"Report: {write_run_report(ended.directory)}", soft_wrap=True)
    print(ended.path)
    if ended.status == "interrupted":
        raise typer.Exit(INTERRUPTED)


def _tracker(name: str) -> Tracker:
    from simulator.config.parsing import load_part
    from simulator.results.trackers import TRACKERS

    tracker = TRACKERS.build(load_part(TRACKERS, {"name": name}))
    tracker.require()
    return tracker
