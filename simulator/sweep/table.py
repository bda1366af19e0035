"""One live table of the runs of a sweep that are carried out at once, with what is left of the whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from math import nan

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from simulator.results.formatting import duration
from simulator.results.terminal import Terminal
from simulator.sweep.reporter import Progress
from simulator.sweep.worker import Worker

REFRESHES_PER_SECOND = 4


class SweepTable:
    """What a person sees of them; where there is no terminal, only what is said between.

    Args:
        workers: who carries them out.
        total: how many runs the sweep has.
        left: how many of them are not over.
        terminal: where to write.
        clock: seconds that pass.
    """

    def __init__(
        self,
        workers: Sequence[Worker],
        total: int,
        left: int,
        terminal: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workers, self._total, self._left, self._to_do = workers, total, left, left
        self._clock, self._began = clock, clock()
        terminal = terminal or Terminal(stderr=True)
        self._live = (
            Live(get_renderable=self.view, console=terminal, refresh_per_second=REFRESHES_PER_SECOND)
            if terminal.is_interactive
            else None
        )

    def __enter__(self) -> SweepTable:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live:
            self._live.stop()

    def one_less(self) -> None:
        """A run is over."""
        self._left -= 1

    @property
    def done(self) -> str:
        """How many runs of all are over, and for how long the others will take."""
        return f"{self._total - self._left} of {self._total} runs, time left {duration(self._seconds_left())}"

    def _seconds_left(self) -> float:
        """By the time that it took so far, runs that are under way counted by what is done of them."""
        under_way = sum(worker.progress.share for worker in self._workers if worker.task and worker.progress)
        done = self._to_do - self._left + under_way
        return (self._clock() - self._began) * (self._to_do - done) / done if done else nan

    def view(self) -> Group:
        """The table as it is now."""
        table = Table(box=None, padding=(0, 3, 0, 0))
        for name in ("run", "round", "score", "time left"):
            table.add_column(Text(name, "not bold dim"), justify="left" if name == "run" else "right")
        for worker in self._workers:
            if worker.task:
                table.add_row(*map(Text, (worker.task.run.label, *_cells(worker.progress))))
        footer = Table.grid(padding=(0, 2, 0, 0))
        footer.add_row(ProgressBar(total=self._total, completed=self._total - self._left, width=30), self.done)
        return Group(table, footer)


def _cells(progress: Progress | None) -> tuple[str, str, str]:
    if progress is None:
        return "begins", "", ""
    return f"{progress.round}/{progress.rounds}", progress.score, duration(progress.seconds_left)
