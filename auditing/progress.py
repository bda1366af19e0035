"""How far an audit is, and how long it will take: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from simulator.results.formatting import duration
from simulator.results.terminal import Terminal

T = TypeVar("T")
WARM = 1.0  # seconds, before which what happens once, such as first use of memory, misleads about the time left
SILENCE = 10.0  # seconds between lines


class Countdown:
    """Tells how much is to be scored, then how much time is left.

    Args:
        what: is to be done, on one line.
        unit: what is counted.
        terminal: where to write; standard error unless given.
        clock: seconds that pass.
    """

    def __init__(
        self,
        what: str,
        terminal: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
        unit: str = "models",
    ) -> None:
        self._terminal, self._clock, self._unit = terminal or Terminal(stderr=True), clock, unit
        self._print(what)

    def over(self, results: Iterable[T], costs: Sequence[float]) -> Iterator[T]:
        """``results``, as they come; each takes a time in proportion to its cost."""
        with self._showing(sum(costs)) as show:
            done = 0.0
            for number, (result, cost) in enumerate(zip(results, costs, strict=True), 1):
                done += cost
                show(done, f"{number}/{len(costs)}")
                yield result

    @contextmanager
    def counting(self, total: int) -> Iterator[Callable[[int], None]]:
        """A function to be told, from any thread, how many more of ``total`` are done, all of which take as long."""
        lock, done = threading.Lock(), 0

        def add(number: int) -> None:
            nonlocal done
            with lock:
                done += number
                show(done, f"{done:,}/{total:,}")

        with self._showing(total) as show:
            yield add

    @contextmanager
    def _showing(self, total: float) -> Iterator[Callable[[float, str], None]]:
        """A function that shows how much is done, as a number and in words, and how much time is left."""
        columns = TextColumn("{task.description}"), BarColumn(30), TextColumn("{task.fields[left]}")
        began, told = self._clock(), None
        with Progress(*columns, console=self._terminal, transient=True, disable=not self._live) as bar:
            task = bar.add_task("scoring", total=total, left="")

            def show(done: float, number: str) -> None:
                nonlocal told
                now = self._clock()
                left = f"{number} {self._unit}  time left {duration((now - began) / done * (total - done))}"
                bar.update(task, completed=done, left=left)
                due = now - told >= SILENCE if told is not None else now - began >= WARM or done >= total
                if due and not self._live:
                    told = now
                    self._print(left)

            yield show

    @property
    def _live(self) -> bool:
        return self._terminal.is_interactive

    def _print(self, line: str) -> None:
        self._terminal.print(line, markup=False, highlight=False, soft_wrap=True)
