"""Carry out a sweep, one run after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from simulator.core.errors import InputError, RumormillError, RunError, wrong
from simulator.core.observer import Observer, RunInfo
from simulator.results.checkpoint import Checkpoints
from simulator.results.lock import locked
from simulator.results.terminal import Terminal
from simulator.runs.launch import branch, resume, run
from simulator.runs.run import Run
from simulator.sweep.earlier import Earlier, earlier_runs, label_run
from simulator.sweep.plan import Sweep, SweepRun


@dataclass(frozen=True)
class Failure:
    """A run that could not be carried out; ``path`` is None where it could not even start."""

    label: str
    message: str
    path: Path | None


@dataclass
class Outcome:
    """What came of a sweep: directories of the finished runs, and what failed."""

    paths: list[Path] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    interrupted: bool = False


def run_sweep(
    sweep: Sweep,
    out: str | Path = "runs",
    observers: Callable[[], Sequence[Observer]] = tuple,
    terminal: Console | None = None,
) -> Outcome:
    """Carry out what ``out`` does not hold yet; a stopped sweep is continued by calling this again.

    A run finished in ``out`` is skipped, whatever it is called there; one that was stopped continues from its last
    checkpoint, or starts anew where it has none. A run that failed is not tried again, since it would fail in the same
    way; remove its directory to have it tried. Two sweeps cannot work in one folder at the same time.

    Args:
        sweep: see `load_sweep`.
        out: the folder of the run directories.
        observers: makes the observers of one run.
        terminal: where to tell how far it got; standard error unless given.

    Raises:
        InputError: ``out`` cannot be used, or another sweep works in it.
        RunError: the disk is full or gone, so that the other runs would fail as well.
    """
    folder = _prepared(Path(out))
    with locked(folder):
        return _Sweeping(sweep, folder, observers, terminal or Terminal(stderr=True)).carry_out()


class _Label(Observer):
    """Tells the run directory which run of the sweep it is."""

    def __init__(self, run: SweepRun) -> None:
        self._run = run
        self.path: Path | None = None

    def started(self, info: RunInfo) -> None:
        self.path = info.path
        label_run(info.path, self._run)


class _Sweeping:
    def __init__(self, sweep: Sweep, out: Path, observers: Callable[[], Sequence[Observer]], terminal: Console) -> None:
        self._runs, self._out, self._observers, self._terminal = sweep.runs, out, observers, terminal
        self._shared_rounds, self._trunks = sweep.shared_rounds, dict[str, Path]()
        self._outcome = Outcome()
        self._seconds: list[float] = []

    def carry_out(self) -> Outcome:
        earlier, unusable = earlier_runs(self._out)
        for line in unusable:
            self._say(line)
        to_do = []
        for number, item in enumerate(self._runs, 1):
            known = earlier.get(item.identity())
            if not known or not self._is_over(item, known):
                to_do.append((number, item, known.path if known else None))
        if len(to_do) < len(self._runs):
            self._say(f"{len(self._runs) - len(to_do)} of {len(self._runs)} runs are in {self._out} already")
        for left, (number, item, path) in zip(range(len(to_do), 0, -1), to_do, strict=True):
            self._say(f"run {number} of {len(self._runs)}{self._time_left(left)}: {item.label}")
            if not self._one(item, path):
                self._outcome.interrupted = True
                break
        self._sum_up()
        return self._outcome

    def _is_over(self, item: SweepRun, known: Earlier) -> bool:
        """Whether nothing is left to do for ``item``."""
        if known.state == "resumable":
            return False
        label_run(known.path, item, known.failure)
        if known.state == "finished":
            self._finished(item, known.path)
        else:
            self._outcome.failures.append(Failure(item.label, known.failure, known.path))
        return True

    def _one(self, item: SweepRun, path: Path | None) -> bool:
        """Start ``item``, or continue it at ``path``; False where it was interrupted."""
        label, began = _Label(item), time.monotonic()
        try:
            ended = self._launch(item, path, label)
        except KeyboardInterrupt:
            return False
        except (RunError, InputError) as error:
            self._record(item, label.path, error)
            return True
        if ended.status != "finished":
            return False
        self._finished(item, ended.path)
        self._seconds.append(time.monotonic() - began)
        return True

    def _launch(self, item: SweepRun, path: Path | None, label: _Label) -> Run:
        observers = [*self._observers(), label]
        if path:
            return resume(path, observers=observers)
        trunk = self._trunks.get(item.trunk)
        if trunk:
            try:
                return branch(trunk, self._shared_rounds, item.experiment, self._out, observers)
            except InputError as error:
                self._say(f"starts from its first round, for it cannot share those of {trunk}: {error}")
        return run(item.experiment, self._out, observers)

    def _finished(self, item: SweepRun, path: Path) -> None:
        self._outcome.paths.append(path)
        if self._shared_rounds in Checkpoints(path / "checkpoints", "").rounds():
            self._trunks.setdefault(item.trunk, path)

    def _record(self, item: SweepRun, path: Path | None, error: RumormillError) -> None:
        if isinstance(error.__cause__, OSError) and isinstance(error, RunError):
            raise error
        if path:
            label_run(path, item, str(error))
        self._outcome.failures.append(Failure(item.label, str(error), path))
        self._say(f"failed: {error}")

    def _time_left(self, runs: int) -> str:
        if not self._seconds:
            return ""
        return f", about {_rough(runs * sum(self._seconds) / len(self._seconds))} left"

    def _sum_up(self) -> None:
        outcome, total = self._outcome, len(self._runs)
        for failure in outcome.failures:
            where = f" ({failure.path})" if failure.path else ""
            self._say(f"failed: {failure.label}{where}: {failure.message}")
        if any(failure.path for failure in outcome.failures):
            self._say("A failed run is not tried again while its directory is there.")
        failed = f", {len(outcome.failures)} failed" if outcome.failures else ""
        self._say(f"{len(outcome.paths)} of {total} runs finished{failed}")
        if outcome.interrupted:
            self._say("Interrupted. The same command continues the sweep.")

    def _say(self, line: str) -> None:
        self._terminal.print(line, markup=False, highlight=False, soft_wrap=True)


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
