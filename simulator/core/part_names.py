"""The names of parts: those that installed packages declare, ours and a stranger's alike, and those of this process."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from simulator.core.errors import wrong

ADDED: defaultdict[str, dict[str, type]] = defaultdict(dict)  # by kind and name: classes that this process alone knows


def group_of(kind: str) -> str:
    """The entry-point group that a package declares its parts of that kind in."""
    return f"rumormill.{kind}"


def declared(kind: str) -> Mapping[str, Sequence[EntryPoint]]:
    """The declarations of one kind, by name; nothing is imported."""
    return _installed(tuple(sys.path)).get(group_of(kind), {})


def names(kind: str) -> list[str]:
    """All names of one kind, sorted; without those of files, packages' classes and objects."""
    return sorted({*declared(kind), *(name for name in ADDED[kind] if ":" not in name)})


def claimed(name: str, points: Sequence[EntryPoint]) -> EntryPoint:
    """The declaration that ``name`` stands for, of those in ``points``, of which there is one at least.

    Raises:
        InputError: several packages claim it.
    """
    if len(claims := sorted({point.value for point in points})) > 1:
        what = f"'{name}' is declared by several packages: as {' and as '.join(claims)}."
        raise wrong("", what, "Rename one, or uninstall its package.")
    return points[0]


@cache
def _installed(path: tuple[str, ...]) -> Mapping[str, Mapping[str, Sequence[EntryPoint]]]:
    """By group and name; ``path`` is where packages are looked for, `sys.path`, and reading it once takes a while."""
    found: dict[str, dict[str, list[EntryPoint]]] = {}
    everything = entry_points()
    for group in everything.groups:
        if group.startswith(group_of("")):
            by_name = found.setdefault(group, {})
            for point in everything.select(group=group):
                by_name.setdefault(point.name, []).append(point)
    return found
