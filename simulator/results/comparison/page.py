"""A comparison as one self-contained HTML file, in the report's look."""

from __future__ import annotations

from pathlib import Path

from simulator.core import atomic
from simulator.core.errors import wrong
from simulator.results.comparison.table import Comparison


def write_html(comparison: Comparison, path: Path) -> Path:
    """Write the table and figures into one file that needs no other; the same runs give the same bytes.

    Returns:
        ``path``.

    Raises:
        InputError: it cannot be written.
    """
    from simulator.results.comparison.chapters import chapters  # matplotlib, which no other command needs
    from simulator.results.report.rendering import render

    page = render("comparison.html", chapters(comparison), about=_about(comparison))
    try:
        atomic.write(path, page)
    except OSError as error:
        raise wrong(str(path), f"cannot be written: {error.strerror}.", "Choose another file with --html.") from error
    return path


def _about(comparison: Comparison) -> str:
    finished = sum(len(group.finished) for group in comparison.groups)
    missing = f", {len(comparison.notes)} not finished or damaged" if comparison.notes else ""
    return f"settings: {len(comparison.groups)} · runs: {finished} finished{missing}"
