"""What the columns of a table are: decided from all of its rows, or declared; never from those of one site."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import InputError, wrong
from simulator.data.alike import nearly
from simulator.data.kinds.table import CODES, NUMBERS, Table
from simulator.data.tabular.doubts import categories as doubtful
from simulator.data.tabular.doubts import extremes, numbered, of_text
from simulator.data.tabular.frames import Columns, as_labels, is_missing

MOST_CATEGORIES = 100  # of a column that nobody has declared to hold categories


def schema(columns: Columns, categorical: Collection[str], categories: Mapping[str, Sequence[str]]) -> Table:
    """The kind of these columns, in their order.

    Args:
        columns: of all sites, of training and test samples.
        categorical: names of columns whose numbers are names of categories.
        categories: declared ones, by column; others are then the category "other".

    Raises:
        InputError: text has too many different values for categories, or a column holds nothing at all.
    """
    numbers, may_miss, chosen = [], [], []
    for name, values in columns.items():
        gaps = is_missing(values)
        if gaps.all():
            raise wrong("drop", f"column '{name}' is empty.", f"Leave it out: drop: [{name}]")
        if name in categories:
            chosen.append((name, tuple(categories[name])))
        elif values.dtype == object or name in categorical:
            found = tuple(map(str, np.unique(as_labels(values[~gaps])).tolist()))
            if len(found) > MOST_CATEGORIES and name not in categorical:
                raise _too_many(name, values[~gaps], len(found))
            chosen.append((name, found))
        else:
            numbers.append(name)
            may_miss += [name] if gaps.any() else []
    return Table(tuple(numbers), tuple(may_miss), tuple(chosen))


def _too_many(name: str, values: NDArray[Any], categories: int) -> InputError:
    """The refusal of so many categories, or of what is rather numbers or dates."""
    if doubt := of_text(name, values):
        return wrong("drop", f"column {doubt.what}.", f"{doubt.advice[0].upper()}{doubt.advice[1:]}.")
    what = f"column '{name}' is text of {categories:,} different values, such as '{min(as_labels(values).tolist())}'."
    return wrong("drop", what, f"Leave it out (drop: [{name}]), or list it under categorical if these are categories.")


def stored(columns: Columns, table: Table) -> dict[str, NDArray[Any]]:
    """The arrays of ``table``: the numbers, and the codes of the categories."""
    count = len(next(iter(columns.values())))
    numbers = [columns[name].astype(np.float32) for name in table.numbers]
    codes = [_codes(columns[name], known) for name, known in table.categories]
    return {
        NUMBERS: np.stack(numbers, axis=1) if numbers else np.empty((count, 0), dtype=np.float32),
        CODES: np.stack(codes, axis=1) if codes else np.empty((count, 0), dtype=np.int16),
    }


def told(columns: Columns, table: Table, declared: Collection[str] = ()) -> Iterator[str]:
    """What the user should know about these columns, of which those ``declared`` are known to be of categories."""
    gaps = {name: int(is_missing(values).sum()) for name, values in columns.items()}
    if imputed := [f"{name} ({gaps[name]:,})" for name in table.may_miss]:
        yield f"missing numbers are imputed with the mean of training rows, and marked: {', '.join(imputed)}"
    if own := [f"{name} ({gaps[name]:,})" for name, _ in table.categories if gaps[name]]:
        yield f"missing categories are a category of their own: {', '.join(own)}"
    for name, known in table.categories:
        others = set(as_labels(columns[name][~is_missing(columns[name])]).astype(str).tolist()) - set(known)
        if others:
            shown = ", ".join(sorted(others)[:10])
            yield f"'{name}' has categories that are not declared, and count as other: {shown}{nearly(others, known)}"
    numbers = {name: columns[name] for name in table.numbers}
    texts = {name: columns[name] for name, _ in table.categories if name not in declared}
    yield from map(str, (*numbered(numbers), *extremes(numbers), *doubtful(texts)))


def _codes(values: NDArray[Any], known: Sequence[str]) -> NDArray[np.int16]:
    gaps = is_missing(values)
    place = {name: code for code, name in enumerate(known)}
    codes = np.full(len(values), len(known) + 1, dtype=np.int16)
    codes[~gaps] = [place.get(name, len(known)) for name in as_labels(values[~gaps]).astype(str).tolist()]
    return codes
