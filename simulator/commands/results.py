"""The commands ``rumormill compare`` and ``report``: what runs that are over have come to."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from simulator.commands.options import RunPath, located_paths
from simulator.core.errors import wrong
from simulator.results.terminal import Terminal


class FigureFormat(StrEnum):
    """What files `--figures` writes."""

    PDF = "pdf"
    SVG = "svg"
    PNG = "png"


def compare_command(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run directories, or folders of them.", callback=located_paths),
    ],
    html: Annotated[
        Path | None, typer.Option("--html", help="Also write table and figures into this file.", callback=located_paths)
    ] = None,
    figures: Annotated[
        Path | None, typer.Option("--figures", help="Also write each figure into this folder.", callback=located_paths)
    ] = None,
    format: Annotated[FigureFormat | None, typer.Option("--format", help="Of these figures; default: pdf.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="Print the table for LaTeX with booktabs.")] = False,
    metrics: Annotated[
        list[str] | None, typer.Option("--metric", help="A further metric to show at its end; repeatable.")
    ] = None,
    against: Annotated[
        str | None, typer.Option("--against", help="An arm of the sweep: show what others gain on it, seed by seed.")
    ] = None,
) -> None:
    """Compare runs: mean and standard deviation over those that differ only in their seed."""
    from simulator.results.comparison import as_latex, as_markdown, compare, find_runs, show, write_html

    if markdown and latex:
        raise wrong("--latex", "the table is to be printed in two ways.", "Leave out --markdown, or --latex.")
    if format and not figures:
        raise wrong("--format", "there are no figures to be written.", "Add --figures FOLDER.")
    comparison = compare(find_runs(paths), metrics or (), against)
    if markdown:
        print(as_markdown(comparison), end="")
    elif latex:
        print(as_latex(comparison), end="")
    else:
        show(comparison, Terminal())
    if html:
        print(write_html(comparison, html))
    if figures:
        from simulator.results.comparison.figure_files import write_figures  # matplotlib, which takes a while

        for file in write_figures(comparison, figures, format or FigureFormat.PDF):
            print(file)


def report_command(path: RunPath) -> None:
    """Write a run's report anew; prints its path."""
    from simulator.results.run_directory import RunDirectory
    from simulator.runs.report import write_run_report

    print(write_run_report(RunDirectory.open(path)))
