"""Tables on their side, for terminals too narrow for all their columns: nothing is left out, and no number is cut."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

GAP = 3  # characters between two columns


def needed(header: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """How many characters a table takes at least, if its headings may be broken between words and its cells may not."""
    columns = zip(header, *rows, strict=True)
    return sum(max(map(len, [*name.split(), *cells])) + GAP for name, *cells in columns)


def on_its_side(header: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[Table]:
    """``rows`` as columns: as many side by side as ``width`` characters have room for, and the others below them.

    The first value of each row, and of ``header``, stands above the column.
    """
    free = width - max(map(len, header))
    blocks, left = list[list[Sequence[str]]](), 0
    for row in rows:
        size = GAP + max(map(len, row))
        if not blocks or size > left:
            blocks, left = [*blocks, []], free
        blocks[-1].append(row)
        left -= size
    return [_turned(header, block) for block in blocks]


def _turned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False)
    lines = [[name, *cells] for name, *cells in zip(header, *rows, strict=True)]
    for place, head in enumerate(lines[0]):
        table.add_column(Text(head, "not bold dim"), justify="right" if place else "left", no_wrap=True)
    for name, *cells in lines[1:]:
        table.add_row(Text(name, "dim"), *map(Text, cells))
    return table
