"""Traces in an experiment, from files beside it or written out; they then stand in it whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simulator.config.yaml_file import Location
from simulator.core.errors import InputError, Problem
from simulator.core.paths import place
from simulator.rounds.traces import AbsenceTrace, DeviceTrace, LinkTrace, Trace

PLACES: Mapping[Location, type[Trace]] = {
    ("clock", "devices"): DeviceTrace,
    ("clock", "links"): LinkTrace,
    ("topology", "failures", "trace"): AbsenceTrace,
}


def fill_trace(tree: Mapping[str, Any], where: Location, folder: Path) -> list[tuple[Location, Problem]]:
    """Replace the path at ``where`` of ``tree``, if there is one, by the trace in that file; returns what is wrong.

    Args:
        tree: an experiment as plain data.
        where: one of `PLACES`.
        folder: where the path begins, unless it is absolute or ``package:NAME/FILE``.
    """
    holder: Any = tree
    for key in where[:-1]:
        holder = holder.get(key) if isinstance(holder, Mapping) else None
    if not isinstance(holder, dict) or not isinstance(path := holder.get(where[-1]), str):
        return []
    try:
        holder[where[-1]] = PLACES[where].read(place(Path(path), folder, "", "the experiment"))
    except InputError as error:
        del holder[where[-1]]  # so that the rest can still be checked
        return [(where, Problem("", _told(each), each.advice)) for each in error.problems]
    return []


def _told(problem: Problem) -> str:
    return f"{problem.where}: {problem.what}" if problem.where else problem.what
