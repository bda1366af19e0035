"""Chapters rendered into one HTML file that needs no other."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from simulator.results import assets
from simulator.results.formatting import cells
from simulator.results.report.chapter import Chapter
from simulator.results.report.chart_data import as_json

ROOMS = ("simulator.results.report", "simulator.results.comparison", "simulator.results.assets")  # that hold templates


def render(template: str, chapters: Sequence[Chapter], **content: Any) -> str:
    """The page that ``template`` makes of ``chapters`` and of further ``content``."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(room, "") for room in ROOMS]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(cells=cells, json=as_json)
    style, inline = Markup(assets.read("style.css")), assets.inline()
    return environment.get_template(template).render(
        chapters=list(_anchored(chapters)), style=style, inline=inline, **content
    )


def _anchored(chapters: Sequence[Chapter]) -> Iterator[Chapter]:
    """Each with an anchor of its own, made of its title."""
    seen = Counter[str]()
    for chapter in chapters:
        name = "-".join(re.findall(r"[a-z0-9]+", chapter.title.lower())) or "chapter"
        seen[name] += 1
        yield replace(chapter, anchor=f"{name}-{seen[name]}" if seen[name] > 1 else name)
