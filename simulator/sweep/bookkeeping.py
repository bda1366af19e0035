"""What is done of a sweep, and what is left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from simulator.core.errors import RunError
from simulator.results.checkpoint import Checkpoints
from simulator.sweep.earlier import Earlier, earlier_runs, label_run
from simulator.sweep.outcome import Ended, Failure, Outcome
from simulator.sweep.plan import Sweep, SweepRun
from simulator.sweep.task import Task


class Bookkeeping:
    """Keeps the account of a sweep's runs in the folder ``out``, and tells it.

    Attributes:
        total: how many runs the sweep has.
        tasks: those that are not over, in order.
    """

    def __init__(self, sweep: Sweep, out: Path, terminal: Console) -> None:
        self._terminal, self._shared_rounds = terminal, sweep.shared_rounds
        self._trunks = dict[str, Path]()
        self._paths = dict[int, Path]()
        self._failures = dict[int, Failure]()
        self.total = len(sweep.runs)
        self.tasks = self._look_into(out, sweep.runs)

    def _look_into(self, out: Path, runs: tuple[SweepRun, ...]) -> list[Task]:
        earlier, unusable = earlier_runs(out)
        for line in unusable:
            self.say(line)
        tasks = []
        for number, run in enumerate(runs, 1):
            known = earlier.get(run.identity())
            task = Task(number, run, out, known.path if known else None, shared_rounds=self._shared_rounds)
            if not known or not self._is_over(task, known):
                tasks.append(task)
        if len(tasks) < len(runs):
            self.say(f"{len(runs) - len(tasks)} of {len(runs)} runs are in {out} already")
        return tasks

    def _is_over(self, task: Task, known: Earlier) -> bool:
        """Whether nothing is left to do of ``task``."""
        if known.state == "resumable":
            return False
        label_run(known.path, task.run, known.failure)
        if known.state == "finished":
            self._finished(task, known.path)
        else:
            self._failures[task.number] = Failure(task.run.label, known.failure, known.path)
        return True

    def with_trunk(self, task: Task) -> Task:
        """``task`` with a run to share rounds with, if one that can be is finished by now."""
        return replace(task, trunk=self._trunks.get(task.run.trunk)) if self._trunks else task

    def enter(self, task: Task, ended: Ended) -> None:
        """Take down how a task has ended.

        Raises:
            RunError: for want of a disk, which ends the sweep.
        """
        if ended.disk:
            raise RunError(ended.message)
        if ended.status == "finished" and ended.path:
            self._finished(task, ended.path)
        elif ended.status in ("failed", "lost"):
            self._failures[task.number] = Failure(task.run.label, ended.message, ended.path)

    def _finished(self, task: Task, path: Path) -> None:
        self._paths[task.number] = path
        if self._shared_rounds in Checkpoints(path / "checkpoints", "").rounds():
            self._trunks.setdefault(task.run.trunk, path)

    def outcome(self, interrupted: bool) -> Outcome:
        """What came of it, all runs in the order of the sweep; it is told as well."""
        failures = [self._failures[number] for number in sorted(self._failures)]
        for failure in failures:
            where = f" ({failure.path})" if failure.path else ""
            self.say(f"failed: {failure.label}{where}: {failure.message}")
        if any(failure.path for failure in failures):
            self.say("A failed run is not tried again while its directory is there.")
        failed = f", {len(failures)} failed" if failures else ""
        self.say(f"{len(self._paths)} of {self.total} runs finished{failed}")
        if interrupted:
            self.say("Interrupted. The same command continues the sweep.")
        return Outcome([self._paths[number] for number in sorted(self._paths)], failures, interrupted)

    def say(self, line: str) -> None:
        """Print a line as it is."""
        self._terminal.print(line, markup=False, highlight=False, soft_wrap=True)
