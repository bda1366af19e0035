"""What a page is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simulator.core.report import Finding, Source, Table
from simulator.results.report.figures import Picture


@dataclass(frozen=True)
class Details:
    """What is folded away at first: a table, plain text or paragraphs."""

    summary: str
    content: Table | str | Sequence[str]


@dataclass(frozen=True)
class Chapter:
    """A titled part of the page; ``anchor`` is what links to it say, and is given when the page is rendered."""

    title: str
    paragraphs: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    details: Sequence[Details] = ()
    verdict: str = ""
    finding: Finding | None = None
    sources: Sequence[Source] = ()
    anchor: str = ""
