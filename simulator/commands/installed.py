"""The commands ``rumormill list`` and ``doctor``: what there is here, and whether it works."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from simulator.core.errors import did_you_mean, wrong
from simulator.results.terminal import Terminal


def list_command(
    kind: Annotated[str | None, typer.Argument(metavar="[KIND]", help="recipes, graphs, methods, models, ...")] = None,
) -> None:
    """List what can be named in an experiment."""
    from rich.table import Table

    from simulator.listing import LISTED

    if kind is not None and kind not in LISTED:
        raise wrong("list", f"there is no kind '{kind}'.", did_you_mean(kind, list(LISTED), "kinds"))
    terminal = Terminal()
    for name in [kind] if kind else LISTED:
        table = Table(title=name, title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 2))
        for entry, text in LISTED[name]().items():
            table.add_row(Text(entry, "bold"), Text(text))
        terminal.print(table)


def doctor_command() -> None:
    """Check that everything Rumormill needs is installed and works here."""
    from simulator.doctor import examine

    stderr, healthy = Terminal(stderr=True), True
    for check in examine():
        healthy &= check.passed
        verdict = ("FAIL", "red") if not check.passed else ("note", "yellow") if check.note else ("ok  ", "green")
        stderr.print(Text.assemble(verdict, f" {check.name}: {check.found}{check.note and f'. {check.note}'}"))
    if not healthy:
        raise typer.Exit(1)
