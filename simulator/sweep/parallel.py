"""Several runs of a sweep at once, each in a process with cores of its own."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager
from multiprocessing.connection import wait
from types import FrameType

from rich.console import Console

from simulator.core.cores import core_numbers
from simulator.core.signal_handlers import hearing
from simulator.rounds.engine import SIGNALS
from simulator.sweep.bookkeeping import Bookkeeping
from simulator.sweep.outcome import Ended
from simulator.sweep.table import SweepTable
from simulator.sweep.task import Task
from simulator.sweep.time_limit import TimeLimit
from simulator.sweep.worker import Worker

LOOK = 0.5  # seconds between two looks at signals that have arrived


def shares(jobs: int, cores: Sequence[int]) -> list[list[int]]:
    """The cores of each of ``jobs`` runs: as many for each as for the others, or one that it shares."""
    if jobs >= len(cores):
        return [[cores[job % len(cores)]] for job in range(jobs)]
    return [list(cores[job * len(cores) // jobs : (job + 1) * len(cores) // jobs]) for job in range(jobs)]


class Parallel:
    """Carries out what is left of a sweep, ``jobs`` runs at a time.

    Ctrl-C, another of `SIGNALS` or the end of ``limit`` has all of them checkpoint after the round that they are in,
    and ends the sweep; a second one ends them at once.
    """

    def __init__(self, books: Bookkeeping, jobs: int, terminal: Console, limit: TimeLimit | None = None) -> None:
        self._limit = limit
        self._books, self._waiting = books, deque(books.tasks)
        self._workers = [Worker(cores, books.say) for cores in shares(jobs, core_numbers())]
        self._table = SweepTable(self._workers, books.total, len(books.tasks), terminal)
        self._shares_rounds = any(task.shared_rounds for task in books.tasks)
        self._signals, self._told, self._interrupted = 0, 0, False
        self._notes = set[str]()

    def carry_out(self) -> bool:
        """Returns whether all was done; False where it was interrupted.

        Raises:
            RunError: the disk is full or gone; the other runs are checkpointed.
        """
        try:
            with self._counting_signals(), self._table:
                while busy := self._busy():
                    ready = wait([worker.connection for worker in busy], LOOK)
                    for worker in busy:
                        if worker.connection in ready:
                            self._hear(worker)
        finally:
            for worker in self._workers:
                worker.dismiss()
            for worker in self._workers:
                worker.wait()
        return not self._interrupted and not self._waiting

    def _busy(self) -> list[Worker]:
        """Those that have a run, after all have been given one that can, or been told to stop."""
        if self._limit and self._limit.is_over:
            self._signals = max(self._signals, 1)
        while self._told < self._signals:
            self._told += 1
            for worker in self._workers:
                worker.stop()
        for worker in self._workers:
            if not self._signals and worker.task is None and (task := self._next()):
                worker.give(self._books.with_trunk(task))
        return [worker for worker in self._workers if worker.task]

    def _next(self) -> Task | None:
        """The next run that does not wait for another one to compute the rounds that they share."""
        computed = {worker.task.run.trunk for worker in self._workers if worker.task} if self._shares_rounds else set()
        for task in self._waiting:
            if not computed or task.path or self._books.with_trunk(task).trunk or task.run.trunk not in computed:
                self._waiting.remove(task)
                return task
        return None

    def _hear(self, worker: Worker) -> None:
        task = worker.task
        assert task is not None  # whoever has none is not listened to
        ended = worker.hear()
        for note in worker.progress.notes if worker.progress else ():
            if note not in self._notes:
                self._notes.add(note)
                self._books.say(f"note: {note}")
        if ended and ended.status == "interrupted":
            self._signals = max(self._signals, 1)  # whoever has told one run to stop means the sweep
            self._interrupted = True
        elif ended and ended.status == "lost" and self._signals:
            self._interrupted = True
        elif ended:
            self._over(task, worker, ended)

    def _over(self, task: Task, worker: Worker, ended: Ended) -> None:
        self._books.enter(task, ended)
        self._table.one_less()
        if ended.status == "finished":
            score = worker.progress.score if worker.progress else ""
            self._books.say(f"{self._table.done}: {task.run.label}: {score}")
        else:
            self._books.say(f"failed: {task.run.label}: {ended.message}")

    def _counting_signals(self) -> AbstractContextManager[None]:
        def count(number: int, frame: FrameType | None) -> None:
            self._signals += 1

        # Whoever started this may have had some ignored, as nohup does.
        return hearing([number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN], count)
