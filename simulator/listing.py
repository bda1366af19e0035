"""What ``rumormill list`` shows: the names of each kind, and the first line of what is said of each.

Names come from the declarations of installed packages, lines from the text of their modules. Only a part whose text has
no line on it is imported.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial

from simulator.config.recipe_files import recipes
from simulator.core.part_names import ADDED, claimed, declared, names
from simulator.core.source_text import NotInTheTextError, docstring, functions_in
from simulator.results.metric_names import METRIC_NAMES

PARTS = (  # the kinds in `simulator.part_kinds`, in its order, which takes seconds to import
    *("methods", "adversaries", "mixers", "models", "tasks", "datasets", "partitions", "label_noise", "backends"),
    *("audits", "trackers", "views", "signals", "attacks", "memorization_scores"),
)
# Words that YAML reads as they stand, alone on the line of their name.
PLAIN_DESCRIPTION = re.compile(r"^description: (\w[^\s:#]* (?:[^:#\n]|:(?=\S)|(?<=\S)#)*)\n(?=[\w#])", re.MULTILINE)
FUNCTIONS = {"graphs": "GRAPHS", "weights": "WEIGHTS", "schedules": "SCHEDULES"}  # tables of topologies, by module


def _recipes() -> dict[str, str]:
    return {name: _description(file.read_text("utf-8")) for name, file in recipes().items()}


def _description(recipe: str) -> str:
    """What it says of itself; the rest of it is not read as YAML, which takes longer."""
    if plain := PLAIN_DESCRIPTION.search(recipe):
        return plain[1].strip()
    from simulator.config.yaml_file import read_value

    block = re.search(r"^description:.*\n(?: .*\n)*", recipe, re.MULTILINE)
    return str(read_value(block[0], "description")["description"]) if block else ""


def _functions(kind: str) -> dict[str, str]:
    module = f"topologies.{kind}"
    return {name: _first_line(docstring(module, name)) for name in sorted(functions_in(module, FUNCTIONS[kind]))}


def _parts(kind: str) -> dict[str, str]:
    return {name: _line_on(kind, name) for name in names(kind)}


def _line_on(kind: str, name: str) -> str:
    if name in ADDED[kind]:
        return _first_line(ADDED[kind][name].__doc__ or "")
    point = claimed(name, declared(kind)[name])
    try:
        return _first_line(docstring(point.module, point.attr))
    except NotInTheTextError:
        from simulator.part_kinds import REGISTRIES

        return _first_line(REGISTRIES[kind].load(name).__doc__ or "")


def _first_line(text: str) -> str:
    return next(iter(text.strip().splitlines()), "")


LISTED: Mapping[str, Callable[[], dict[str, str]]] = {
    "recipes": _recipes,
    **{kind: partial(_functions, kind) for kind in FUNCTIONS},
    **{kind: partial(_parts, kind) for kind in PARTS},
    "metrics": lambda: dict(METRIC_NAMES),
}
