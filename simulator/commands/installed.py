"""The commands ``rumormill list`` and ``doctor``: what there is here, and whether it works."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap
from typing import Annotated

import typer
from rich.segment import Segment, Segments
from rich.style import Style
from rich.text import Text

from simulator.core.errors import did_you_mean, wrong
from simulator.results.terminal import Terminal

LONGEST_BESIDE = 34  # characters of a name
NARROWEST = 20  # characters of what stands beside it


def _kinds(incomplete: str) -> list[str]:
    from simulator.listing import LISTED

    return [kind for kind in LISTED if kind.startswith(incomplete)]


def list_command(
    kind: Annotated[
        str | None,
        typer.Argument(metavar="[KIND]", help="recipes, graphs, methods, models, ..., metrics", autocompletion=_kinds),
    ] = None,
) -> None:
    """List what can be named in an experiment, and what metrics are called."""
    from simulator.listing import LISTED

    if kind is not None and kind not in LISTED:
        raise wrong("list", f"there is no kind '{kind}'.", did_you_mean(kind, list(LISTED), "kinds"))
    terminal = Terminal()
    for name in [kind] if kind else LISTED:
        terminal.print(_shown(name, LISTED[name](), terminal.width), soft_wrap=True, end="")


def _shown(kind: str, entries: Mapping[str, str], width: int) -> Segments:
    """Names at the left, and beside them what is said of each; a long name has a line of its own.

    Laid out by hand: for the 250 lines of all kinds, a table of Rich's takes as long as all the rest.
    """
    column = 2 + min(max(map(len, entries), default=0), LONGEST_BESIDE) + 2
    shown = [Segment(f"{kind}\n", Style(italic=True))]
    for name, text in entries.items():
        lines = wrap(text, max(width - column, NARROWEST), break_on_hyphens=False) or [""]
        beside = f"\n{' ' * column}" if len(name) > LONGEST_BESIDE else " " * (column - 2 - len(name))
        shown += [Segment("  "), Segment(name, Style(bold=True))]
        shown.append(Segment(beside + f"\n{' ' * column}".join(lines) + "\n"))
    return Segments(shown)


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
