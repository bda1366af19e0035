"""A comparison as text: on the terminal, and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from simulator.results.comparison.table import Comparison
from simulator.results.tables import GAP, needed, on_its_side

TEXT_COLUMNS = 2  # setting and seeds; numbers stand at the right
TEXT_WIDTH = 30  # characters that these two are to have at least


def show(comparison: Comparison, terminal: Console) -> None:
    """Print the table, on its side where the terminal is narrow, and what is to be said of unfinished runs."""
    numbers = [row[TEXT_COLUMNS:] for row in comparison.rows]
    if needed(comparison.header[TEXT_COLUMNS:], numbers) + TEXT_WIDTH <= terminal.width:
        terminal.print(_upright(comparison))
    else:
        for number, (setting, seeds, *_) in enumerate(comparison.rows, 1):
            terminal.print(Text(f"{number}  {setting}; seeds {seeds}"), soft_wrap=True)
        rows = [(str(number), *row) for number, row in enumerate(numbers, 1)]
        for table in on_its_side(("", *comparison.header[TEXT_COLUMNS:]), rows, terminal.width):
            terminal.print("", table)
    for note in comparison.notes:
        terminal.print(Text(note, "yellow"), soft_wrap=True)


def _upright(comparison: Comparison) -> Table:
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False)
    for place, (name, *cells) in enumerate(zip(comparison.header, *comparison.rows, strict=True)):
        heading = Text(name, "not bold dim")
        if place < TEXT_COLUMNS:
            table.add_column(heading, overflow="fold")
        else:  # names may be broken into lines, numbers may not
            table.add_column(heading, justify="right", width=max(map(len, [*name.split(), *cells])))
    for row in comparison.rows:
        table.add_row(*map(Text, row))
    return table


def as_markdown(comparison: Comparison) -> str:
    """The table as Markdown, to paste."""
    ruler = ["---" if place < TEXT_COLUMNS else "---:" for place in range(len(comparison.header))]
    lines = [_line(row) for row in (comparison.header, ruler, *comparison.rows)]
    notes = ["", *(f"* {note}" for note in comparison.notes)] if comparison.notes else []
    return "\n".join([*lines, *notes]) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
