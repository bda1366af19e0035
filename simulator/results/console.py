"""What a person sees of a run: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from math import nan
from typing import NamedTuple

from rich.console import Console as RichConsole
from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from simulator.core.message import Envelope
from simulator.core.observer import Observer, RunInfo, Speed
from simulator.core.report import Metric
from simulator.results.formatting import duration, megabytes, percent, significant
from simulator.results.headline import Headline
from simulator.results.metric_names import OF_ATTACKS
from simulator.results.tables import needed, on_its_side
from simulator.results.terminal import Terminal

ROWS = 10  # evaluations on the screen
REFRESHES_PER_SECOND = 4
PAUSE = 5.0  # seconds between two lines at least, where there is no live table


class ConsoleRow(NamedTuple):
    """One evaluation, as text; ``largest`` over nodes is what methods measured, by its name, after that of attacks."""

    round: str
    score: str
    majority: str
    consensus_model: str
    consensus_distance: str
    sent: str
    speed: str
    pace: str
    workers: str
    largest: Mapping[str, str]


class Console(Observer):
    """Shows how a run gets on: a live table, or a line an evaluation and every few seconds between two of them.

    Args:
        terminal: where to write; standard error unless given.
        clock: seconds that pass.
    """

    def __init__(self, terminal: RichConsole | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._terminal = terminal or Terminal(stderr=True)
        self._clock = clock
        self._live: Live | None = None
        self._rows: tuple[ConsoleRow, ...] = ()
        self._began: float | None = None
        self._headline = Headline()

    def started(self, info: RunInfo) -> None:
        """Say what is run, and open the live table."""
        self._rounds, self._done = info.rounds, info.rounds_done
        self._began = self._clock()
        self._restart_clock()
        size = f"{info.nodes} nodes, {info.parameters:,} parameters each, {info.rounds} rounds"
        for line in (f"{info.name}, seed {info.seed}: {size}", *(f"note: {note}" for note in info.notes)):
            self._print(line)
        if self._terminal.is_interactive:
            self._live = Live(
                get_renderable=self._view, console=self._terminal, refresh_per_second=REFRESHES_PER_SECOND
            )
            self._live.start()

    def sent(self, round: int, messages: Sequence[Envelope]) -> None:
        """Advance the bar, which the next refresh shows; without a live table, say it every few seconds."""
        self._done = round
        if self._live is None and self._clock() - self._told >= PAUSE:
            self._print(f"round {round}/{self._rounds}  time left {self._time_left()}")

    def evaluated(self, round: int, metrics: Sequence[Metric], speed: Speed) -> None:
        """Add a row to the table, or print a line where there is no terminal."""
        self._done = round
        if round == 0:
            self._restart_clock()  # building up and the first evaluation say nothing of the rounds to come
        network = {metric.name: metric.value for metric in metrics if metric.node is None}
        self._headline = Headline.among(network)
        row = _row(round, network, self._headline, speed)
        self._rows = (*self._rows, row)[-ROWS:]
        if self._live is None:
            self._print(self._line(row))

    def recovered(self, round: int, reason: str) -> None:
        """Say that rounds are done again, and count time from here: what was lost says nothing of what is to come."""
        self._done = round
        self._restart_clock()
        self._print(f"a worker was lost ({reason}): going on from round {round}")

    def ended(self, round: int, reason: str) -> None:
        """Say that the run ends before its time, and why."""
        self._print(f"ends after round {round} of {self._rounds}: {reason}")

    def finished(self, status: str) -> None:
        """Close the live table, and say how it ended."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        if self._began is not None:
            self._print(f"{status} after {duration(self._clock() - self._began)}")

    def _restart_clock(self) -> None:
        self._since, self._first = self._clock(), self._done

    def _time_left(self) -> str:
        """By the mean time of a round so far, evaluations included."""
        if self._done == self._first:
            return "unknown"
        return duration((self._clock() - self._since) / (self._done - self._first) * (self._rounds - self._done))

    def _line(self, row: ConsoleRow) -> str:
        return (
            f"round {row.round}/{self._rounds}  {self._headline.words} {row.score}  {_majority(row)}"
            f"consensus model {row.consensus_model}  consensus distance {row.consensus_distance}  sent {row.sent}  "
            + "".join(f"{name} {value}  " for name, value in row.largest.items())
            + f"{row.speed} node-steps/s  {row.pace} rounds/s  {row.workers} workers  time left {self._time_left()}"
        )

    def _view(self) -> Group:
        footer = Table.grid(padding=(0, 2, 0, 0))
        progress = ProgressBar(total=self._rounds, completed=self._done, width=30)
        majority = [_majority(self._rows[-1]).strip()] if self._rows else []  # the same all the time
        footer.add_row(progress, f"round {self._done}/{self._rounds}", f"time left {self._time_left()}", *majority)
        return Group(self._table(), footer)

    def _table(self) -> Table:
        """The last evaluations, the latest at the bottom; on a narrow terminal as columns, the latest at the left."""
        measured = tuple(self._rows[-1].largest if self._rows else ())
        header = (
            "round",
            f"{self._headline.words} [worst, best]",
            "consensus model",
            "consensus distance",
            "sent",
            "node-steps/s",
            "rounds/s",
            "workers",
            *measured,
        )
        rows = [
            (row.round, row.score, *row[3:-1], *(row.largest.get(name, "") for name in measured)) for row in self._rows
        ]
        if rows and needed(header, rows) > self._terminal.width:
            return on_its_side(header, rows[::-1], self._terminal.width)[0]
        table = Table(box=None, padding=(0, 3, 0, 0))
        for name in header:
            table.add_column(Text(name, "not bold dim"), justify="right")
        for row in rows:
            table.add_row(*map(Text, row))
        return table

    def _print(self, line: str) -> None:
        self._told = self._clock()
        self._terminal.print(line, markup=False, highlight=False, soft_wrap=True)


def _majority(row: ConsoleRow) -> str:
    """How good answering the same all the time would be; nothing where the task knows no such thing."""
    return f"majority class {row.majority}  " if row.majority else ""


def _row(round: int, network: Mapping[str, float], headline: Headline, speed: Speed) -> ConsoleRow:
    mean, worst, best = (
        headline.text(network.get(name, nan)) for name in (headline.mean, headline.worst, headline.best)
    )
    return ConsoleRow(
        round=str(round),
        score=f"{mean} [{worst}, {best}]",
        majority=percent(network["test/majority"]) if "test/majority" in network else "",
        consensus_model=headline.text(network.get(headline.consensus, nan)),
        consensus_distance=significant(network["consensus/distance"], 3),
        sent=megabytes(network["bytes/sent"]),
        speed=significant(speed.node_steps / speed.seconds if speed.node_steps else nan, 3),
        pace=significant(speed.rounds / speed.seconds if speed.rounds else nan, 3),
        workers=f"{speed.alive}/{speed.workers}",
        largest={words: significant(network[name], 3) for name, words in OF_ATTACKS.items() if name in network}
        | {
            f"{name.split('/')[-2]} (max)": significant(value, 3)
            for name, value in network.items()
            if name.endswith("/max")
        },
    )
