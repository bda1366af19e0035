"""One run of a sweep, as it is handed to whoever carries it out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from simulator.core.errors import InputError, RunError
from simulator.core.observer import Observer, RunInfo
from simulator.runs.launch import branch, resume, run
from simulator.runs.run import Run
from simulator.sweep.earlier import label_run
from simulator.sweep.outcome import Ended
from simulator.sweep.plan import SweepRun

STOP = b""  # what a worker process is sent in the place of a pickled task


@dataclass(frozen=True)
class Task:
    """A run that is not over.

    Attributes:
        number: its place in the sweep, from 1.
        run: what to run.
        out: the folder of the run directories.
        path: where to continue it; None: it starts.
        trunk: a run whose first rounds it can take over, if there is one.
        shared_rounds: how many.
    """

    number: int
    run: SweepRun
    out: Path
    path: Path | None = None
    trunk: Path | None = None
    shared_rounds: int = 0

    def carry_out(self, observers: Sequence[Observer], say: Callable[[str], None]) -> Ended:
        """Carry the run out, in this process; what is wrong with it, its directory and the answer tell."""
        label = _Label(self.run)
        try:
            done = self._launched([*observers, label], say)
        except KeyboardInterrupt:
            return Ended("interrupted", label.path)
        except (RunError, InputError) as error:
            disk = isinstance(error, RunError) and isinstance(error.__cause__, OSError)
            if label.path and not disk:
                label_run(label.path, self.run, str(error))
            return Ended("failed", label.path, str(error), disk)
        return Ended("finished" if done.status == "finished" else "interrupted", done.path)

    def _launched(self, observers: Sequence[Observer], say: Callable[[str], None]) -> Run:
        if self.path:
            return resume(self.path, observers=observers)
        if self.trunk:
            try:
                return branch(self.trunk, self.shared_rounds, self.run.experiment, self.out, observers)
            except InputError as error:
                say(f"starts from its first round, for it cannot share those of {self.trunk}: {error}")
        return run(self.run.experiment, self.out, observers)


class _Label(Observer):
    """Tells the run directory which run of the sweep it is."""

    def __init__(self, run: SweepRun) -> None:
        self._run = run
        self.path: Path | None = None

    def started(self, info: RunInfo) -> None:
        self.path = info.path
        label_run(info.path, self._run)
