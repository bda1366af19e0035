"""The commands ``rumormill runs`` and ``clean``: what is in a folder of runs, and what of it may go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from simulator.commands.options import located_paths
from simulator.core.errors import InputError
from simulator.results.terminal import Terminal, show_error

if TYPE_CHECKING:
    from simulator.results.runs_folder.cleanup import Removal
    from simulator.results.runs_folder.summary import RunSummary

GAP = "  "
Folder = Annotated[
    Path, typer.Argument(metavar="[FOLDER]", help="Of runs; default: runs.", callback=located_paths, show_default=False)
]


def runs_command(
    folder: Folder = Path("runs"),
    sort: Annotated[
        str | None, typer.Option("--sort", metavar="METRIC", help="The largest first; also score, size, started.")
    ] = None,
    ascending: Annotated[bool, typer.Option("--ascending", help="The smallest first.")] = False,
    search: Annotated[str, typer.Option("--search", metavar="WORDS", help="Only runs that have all of them.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print all that is known of them as JSON.")] = False,
) -> None:
    """List the runs of a folder: how far each is, how good, and what it takes on disk."""
    from simulator.core.strict_json import dumps
    from simulator.results.runs_folder.folder import RunsFolder, matching, ordered
    from simulator.results.runs_folder.words import as_record

    found = RunsFolder(folder).runs()
    runs = matching(ordered(found, sort, ascending) if sort else found, search)
    if as_json:
        print(dumps([as_record(run) for run in runs], indent=1))
    elif runs:
        _show(runs, sort)
    else:
        what = f"none of the {len(found)} runs in {folder} is meant" if found else f"no runs in {folder}"
        Terminal(stderr=True).print(what, soft_wrap=True)


def clean_command(
    folder: Folder = Path("runs"),
    failed: Annotated[
        bool, typer.Option("--failed", help="Runs that failed, or stopped without a checkpoint; default if no other.")
    ] = False,
    keep: Annotated[int | None, typer.Option("--keep", metavar="N", min=0, help="All runs but the latest N.")] = None,
    checkpoints: Annotated[bool, typer.Option("--checkpoints", help="Of finished runs; audits need them.")] = False,
    recordings: Annotated[bool, typer.Option("--recordings", help="Likewise.")] = False,
    audited: Annotated[bool, typer.Option("--audited", help="Also of runs that have been audited.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete it; else it is only shown.")] = False,
) -> None:
    """Show what could go of a folder of runs, and delete it with --yes; what others refer to stays."""
    from simulator.results.formatting import megabytes
    from simulator.results.runs_folder.cleanup import Wish, plan, remove
    from simulator.results.runs_folder.folder import RunsFolder

    wish = Wish(failed or not (keep is not None or checkpoints or recordings), keep, checkpoints, recordings, audited)
    planned, stderr = plan(RunsFolder(folder), wish), Terminal(stderr=True)
    gone: list[Removal] = []
    errors = 0
    for name, why in planned.kept:
        stderr.print(f"stays: {name}: {why}", soft_wrap=True)
    for removal in planned.removals:
        try:
            if yes:
                remove(removal, wish.audited)
            gone.append(removal)
        except InputError as error:
            show_error(error, stderr)
            errors += 1
    _list(gone)
    room = megabytes(sum(removal.bytes for removal in gone))
    ending = f"{room} deleted." if yes else f"{room} would be deleted; --yes does it." if gone else "Nothing to delete."
    stderr.print(ending)
    if errors:
        raise typer.Exit(1)


def _show(runs: Sequence[RunSummary], sort: str | None) -> None:
    """A line a run; where a terminal is too narrow, a second line under its name, which can be copied."""
    from simulator.results.runs_folder import words
    from simulator.results.runs_folder.summary import COLUMNS

    further = [sort] if sort and sort not in COLUMNS else []
    names = ("rounds", "score", *further, "size")
    rows = [("run", "state", *names, "audits")]
    rows += [
        (run.directory, words.state(run), *(words.figure(run, name) for name in names), ", ".join(run.audits))
        for run in runs
    ]
    _print(rows)
    for run in runs:
        if run.why:
            what = f"{run.directory}: {run.state}: {run.why.splitlines()[0]}"
            Terminal(stderr=True).print(what, soft_wrap=True)


def _print(rows: Sequence[tuple[str, ...]]) -> None:
    """``rows`` under each other, the first of which are headings; faster than a table that may break lines."""
    from rich.cells import cell_len

    terminal = Terminal()
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    narrow = terminal.is_terminal and sum(widths) + len(GAP) * len(widths) > terminal.width
    for number, row in enumerate(rows):
        first, *rest = (cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
        style = "" if number else "dim"
        if narrow:
            terminal.print(Text(row[0], style), soft_wrap=True)
        line = GAP.join([GAP if narrow else first, *rest]).rstrip()
        terminal.print(Text(line, style), soft_wrap=True)


def _list(removals: Sequence[Removal]) -> None:
    from simulator.results.formatting import megabytes

    if removals:
        _print([("path", "size", "why"), *((_text(each.path), megabytes(each.bytes), each.why) for each in removals)])


def _text(path: Path) -> str:
    """As text that can be written anywhere."""
    return str(path).encode(errors="replace").decode()
