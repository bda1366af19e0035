"""A comparison as text: on the terminal, and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from simulator.results.comparison.table import Comparison

TEXT_COLUMNS = 2  # setting and seeds; numbers stand at the right


def show(comparison: Comparison, terminal: Console) -> None:
    """Print the table, and what is to be said of runs that did not finish."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for place, (name, *cells) in enumerate(zip(comparison.header, *comparison.rows, strict=True)):
        heading = Text(name, "not bold dim")
        if place < TEXT_COLUMNS:
            table.add_column(heading, overflow="fold")
        else:  # names may be broken into lines, numbers may not
            table.add_column(heading, justify="right", width=max(map(len, [*name.split(), *cells])))
    for row in comparison.rows:
        table.add_row(*map(Text, row))
    terminal.print(table)
    for note in comparison.notes:
        terminal.print(Text(note, "yellow"), soft_wrap=True)


def as_markdown(comparison: Comparison) -> str:
    """The table as Markdown, to paste."""
    ruler = ["---" if place < TEXT_COLUMNS else "---:" for place in range(len(comparison.header))]
    lines = [_line(row) for row in (comparison.header, ruler, *comparison.rows)]
    notes = ["", *(f"* {note}" for note in comparison.notes)] if comparison.notes else []
    return "\n".join([*lines, *notes]) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
