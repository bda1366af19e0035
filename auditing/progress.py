"""How far an audit is, and how long it will take: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from simulator.results.formatting import duration
from simulator.results.terminal import Terminal

T = TypeVar("T")
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
        columns = TextColumn("{task.description}"), BarColumn(30), TextColumn("{task.fields[left]}")
        began, told, done, total = self._clock(), None, 0.0, sum(costs)
        with Progress(*columns, console=self._terminal, transient=True, disable=not self._live) as bar:
            task = bar.add_task("scoring", total=total, left="")
            for number, (result, cost) in enumerate(zip(results, costs, strict=True), 1):
                done, now = done + cost, self._clock()
                left = (
                    f"{number}/{len(costs)} {self._unit}  time left {duration((now - began) / done * (total - done))}"
                )
                bar.update(task, completed=done, left=left)
                if not self._live and (told is None or now - told >= SILENCE):
                    told = now
                    self._print(left)
                yield result

    @property
    def _live(self) -> bool:
        return self._terminal.is_interactive

    def _print(self, line: str) -> None:
        self._terminal.print(line, markup=False, highlight=False, soft_wrap=True)
