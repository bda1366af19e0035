"""A comparison as one self-contained HTML file, in the report's look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from simulator.core import atomic
from simulator.core.errors import wrong
from simulator.results.comparison.groups import common_headline
from simulator.results.comparison.table import Comparison
from simulator.results.comparison.text import TEXT_COLUMNS


def write_html(comparison: Comparison, path: Path) -> Path:
    """Write the table and figures into one file that needs no other; the same runs give the same bytes.

    Returns:
        ``path``.

    Raises:
        InputError: it cannot be written.
    """
    from simulator.results.comparison.figures import pictures  # matplotlib, which no other command needs

    environment = Environment(
        loader=PackageLoader("simulator.results.comparison", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("template.html").render(
        comparison=comparison,
        about=_about(comparison),
        text_columns=TEXT_COLUMNS,
        score=common_headline(comparison.groups).words,
        pictures=pictures(comparison.groups, comparison.metrics),
        common=_as_yaml(common([group.experiment for group in comparison.groups])),
        style=Markup((files("simulator.results.report") / "style.css").read_text(encoding="utf-8")),
    )
    try:
        atomic.write(path, page)
    except OSError as error:
        raise wrong(str(path), f"cannot be written: {error.strerror}.", "Choose another file with --html.") from error
    return path


def common(settings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What all ``settings`` say alike."""
    first, *others = settings
    shared: dict[str, Any] = {}
    for key, value in first.items():
        values: list[Any] = [value, *(other.get(key) for other in others)]
        if all(other == value for other in values):
            shared[key] = value
        elif all(isinstance(other, Mapping) for other in values) and (inner := common(values)):
            shared[key] = inner
    return shared


def _about(comparison: Comparison) -> str:
    finished = sum(len(group.finished) for group in comparison.groups)
    missing = f", {len(comparison.notes)} not finished or damaged" if comparison.notes else ""
    return f"settings: {len(comparison.groups)} · runs: {finished} finished{missing}"


def _as_yaml(settings: Mapping[str, Any]) -> str:
    return yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
