"""The commands ``rumormill compare`` and ``report``: what runs that are over have come to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simulator.commands.options import RunPath, located_paths
from simulator.results.terminal import Terminal


def compare_command(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run directories, or folders of them.", callback=located_paths),
    ],
    html: Annotated[
        Path | None, typer.Option("--html", help="Also write table and figures into this file.", callback=located_paths)
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")] = False,
    metrics: Annotated[
        list[str] | None, typer.Option("--metric", help="A further metric to show at its end; repeatable.")
    ] = None,
    against: Annotated[
        str | None, typer.Option("--against", help="An arm of the sweep: show what others gain on it, seed by seed.")
    ] = None,
) -> None:
    """Compare runs: mean and standard deviation over those that differ only in their seed."""
    from simulator.results.comparison import as_markdown, compare, find_runs, show, write_html

    comparison = compare(find_runs(paths), metrics or (), against)
    if markdown:
        print(as_markdown(comparison), end="")
    else:
        show(comparison, Terminal())
    if html:
        print(write_html(comparison, html))


def report_command(path: RunPath) -> None:
    """Write a run's report anew; prints its path."""
    from simulator.results.run_directory import RunDirectory
    from simulator.runs.report import write_run_report

    print(write_run_report(RunDirectory.open(path)))
