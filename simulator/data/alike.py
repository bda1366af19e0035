"""Names in a user's data that people would read as one: they differ in case, spaces or leading zeros alone."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from itertools import islice

from simulator.data.dataset import ArrayData
from simulator.data.kinds.table import Table

SHOWN = 5  # of each kind of names
LEADING = re.compile(r"(?<![\d.,])0+(?=\d)")  # zeros, not those of a fraction


def told_alike(data: ArrayData) -> Iterator[str]:
    """What the user should know about the names of classes, sites and categories."""
    yield from pairs("classes", data.class_names)
    yield from pairs("sites", data.site_names)
    if isinstance(data.kind, Table):
        for column, names in data.kind.categories:
            yield from pairs(f"categories of '{column}':", names)


def pairs(what: str, names: Iterable[str]) -> Iterator[str]:
    """A note on each set of names that are alike; ``what`` they are names of."""
    found = defaultdict(list)
    for name in names:
        found[_plain(name)].append(name)
    for alike in islice((each for each in found.values() if len(each) > 1), SHOWN):
        shown = " and ".join(map(repr, alike))
        yield f"{what} {shown} differ in case, spaces or leading zeros alone; if they are one, write them alike"


def nearly(strange: Collection[str], known: Collection[str]) -> str:
    """Which of the ``strange`` names are ``known`` ones in other letters, spaces or zeros; empty if none is."""
    found = {_plain(name): name for name in known}
    meant = [(name, found[key]) for name in sorted(strange) if (key := _plain(name)) in found]
    return f"; is {' and '.join(f'{one!r} meant to be {other!r}' for one, other in meant[:5])}?" if meant else ""


def _plain(name: str) -> str:
    """What alike names share."""
    return LEADING.sub("", " ".join(name.split()).casefold())
