"""Carry out a sweep: one run after the other in this process, or several at once in others."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from simulator.core.errors import wrong
from simulator.core.observer import Observer
from simulator.results.lock import locked
from simulator.results.terminal import Terminal
from simulator.sweep.bookkeeping import Bookkeeping
from simulator.sweep.jobs import Jobs, check_jobs, number_at_once
from simulator.sweep.outcome import Outcome
from simulator.sweep.parallel import Parallel
from simulator.sweep.plan import Sweep
from simulator.sweep.time_limit import TimeLimit


def run_sweep(
    sweep: Sweep,
    out: str | Path = "runs",
    observers: Callable[[], Sequence[Observer]] = tuple,
    terminal: Console | None = None,
    jobs: Jobs = 1,
    minutes: float | None = None,
) -> Outcome:
    """Carry out what ``out`` does not hold yet; a stopped sweep is continued by calling this again.

    A run finished in ``out`` is skipped, whatever it is called there; one that was stopped continues from its last
    checkpoint, or starts anew where it has none. A run that failed is not tried again, since it would fail in the same
    way; remove its directory to have it tried. Two sweeps cannot work in one folder at the same time.

    Several runs at once are processes of their own that share the processor's cores; their results are those of one
    after the other, bit for bit where a run's results do not depend on its number of workers (see the backend).

    Args:
        sweep: see `load_sweep`.
        out: the folder of the run directories.
        observers: makes the observers of one run, where they come one after the other; of several at once, there is one
            table.
        terminal: where to tell how far it got; standard error unless given.
        jobs: how many runs at once; "auto" is as many as there are cores for their workers and memory for their models.

        minutes: after which runs are checkpointed and the sweep ends as interrupted; None: when all is done.

    Raises:
        InputError: ``out`` cannot be used, another sweep works in it, or runs cannot be carried out at once.
        RunError: the disk is full or gone, so that the other runs would fail as well.
    """
    check_jobs(jobs, (run.experiment for run in sweep.runs))
    limit = None if minutes is None else TimeLimit(minutes)
    folder, terminal = _prepared(Path(out)), terminal or Terminal(stderr=True)
    with locked(folder):
        books = Bookkeeping(sweep, folder, terminal)
        at_once = number_at_once(jobs, [task.run.experiment for task in books.tasks], books.say)
        if at_once > 1:
            all_done = Parallel(books, at_once, terminal, limit).carry_out()
        else:
            all_done = _one_by_one(books, observers, limit)
        return books.outcome(interrupted=not all_done)


def _one_by_one(books: Bookkeeping, observers: Callable[[], Sequence[Observer]], limit: TimeLimit | None) -> bool:
    """Returns whether all was done; False where it was interrupted."""
    seconds = list[float]()
    limits = [] if limit is None else [limit]
    for left, task in zip(range(len(books.tasks), 0, -1), books.tasks, strict=True):
        if limit and limit.is_over:
            return False
        guess = f", about {_rough(left * sum(seconds) / len(seconds))} left" if seconds else ""
        books.say(f"run {task.number} of {books.total}{guess}: {task.run.label}")
        began = time.monotonic()
        ended = books.with_trunk(task).carry_out([*observers(), *limits], books.say)
        if ended.status == "interrupted":
            return False
        books.enter(task, ended)
        if ended.status == "finished":
            seconds.append(time.monotonic() - began)
        else:
            books.say(f"failed: {ended.message}")
    return True


def _prepared(out: Path) -> Path:
    if (out / "experiment.yaml").exists():
        raise wrong("--out", f"{out} is itself a run directory.", "Choose another folder with --out.")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        advice = "Choose a folder you may write to with --out."
        raise wrong("--out", f"{out} cannot be made: {error.strerror}.", advice) from error
    return out


def _rough(seconds: float) -> str:
    """A time as one says it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
