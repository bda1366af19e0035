"""A page of sections alone, where there is no run to report on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from simulator.core import atomic
from simulator.core.report import Section
from simulator.results.report import chapters
from simulator.results.report.rendering import render


def write_sections(path: Path, title: str, about: str, sections: Sequence[Section]) -> None:
    """Write ``sections`` as one file that needs no other; the same sections give the same bytes.

    Args:
        path: of the file.
        title: of the page.
        about: a line below it.
        sections: what it says.

    Raises:
        OSError: it cannot be written.
    """
    content = [chapters.contributed(number, section) for number, section in enumerate(sections, 1)]
    atomic.write(path, render("sections.html", content, title=title, about=about))
