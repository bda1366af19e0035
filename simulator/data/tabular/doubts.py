"""What a table's columns may be meant as, beside what they are read as: told, and never decided for the user."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from simulator.data.tabular.frames import Columns, as_labels, is_missing, number

NUMBERED = 20  # rows, from which on values that are all different are rather names of rows than what to learn from
NUMBER_LIKE = re.compile(r"[^\w\s]?\s?[+-]?\d[\d.,'\s]*(e[+-]?\d+)?\s*%?", re.IGNORECASE)  # as people write them, too
DATE = re.compile(r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2}))([T ]\d{1,2}:\d.*)?")
SEVERAL = 10  # different numbers, from which on one of them may be told to be far from the others
FAR_OFTEN, FAR_ONCE = 1, 100  # times the range of all others, of a number that recurs and of one that does not
MOSTLY = 0.5  # share of a column's values from which on it is meant to be of them


def numbered(numbers: Columns) -> Iterator[str]:
    """Which columns of numbers seem to name rows, or people, and would be taken for quantities."""
    for name, values in numbers.items():
        there = values[~is_missing(values)].astype(np.float64)
        if len(there) >= NUMBERED and (there == np.rint(there)).all() and len(np.unique(there)) == len(there):
            what = f"'{name}' has another whole number in each row, and is learnt from as a quantity"
            yield f"{what}: if it numbers rows or people, leave it out (drop: [{name}], or out of the schema)"


def extremes(numbers: Columns) -> Iterator[str]:
    """Which columns of numbers have one that is as far from all others as no other is: a gap's code, or a slip."""
    for name, values in numbers.items():
        found, times = np.unique(values[~is_missing(values)].astype(np.float64), return_counts=True)
        if len(found) < SEVERAL:
            continue
        for end, others in ((0, found[1:]), (-1, found[:-1])):
            far, span = abs(found[end] - others[end]), others[-1] - others[0]
            if far > span * (FAR_OFTEN if times[end] > 1 else FAR_ONCE):
                what = f"{times[end]:,} of {times.sum():,} values of '{name}' are {found[end]:g}, and all others from"
                yield f"{what} {others[0]:g} to {others[-1]:g}: if it stands for a gap, list it in missing_values"


def categories(texts: Columns) -> Iterator[str]:
    """Which columns of text, whose values nobody has declared to be categories, seem to be numbers or names of rows."""
    for name, values in texts.items():
        there: NDArray[np.str_] = as_labels(values[~is_missing(values)])
        found = np.unique(there).tolist()
        others = [value for value in there.tolist() if not NUMBER_LIKE.fullmatch(value)]
        if len(there) >= NUMBERED and all(DATE.fullmatch(value) for value in found):
            what = f"'{name}' is of dates, such as '{found[0]}', each of {len(found):,} a category of its own"
            yield f"{what}: leave the column out (drop: [{name}]), or write a number, such as days or the month"
        elif len(there) and len(others) <= (1 - MOSTLY) * len(there):
            yield f"'{name}' {_spelt(found) if not others else _spoilt(others, len(there), len(found))}"
        elif len(there) >= NUMBERED and len(found) > MOSTLY * len(there):
            what = f"'{name}' has {len(found):,} different texts in {len(there):,} rows, each a category of its own"
            yield (
                f"{what}: if they name rows, leave the column out (drop: [{name}]); if they are numbers with a unit, "
                "write the numbers alone"
            )


def no_numbers(there: NDArray[np.str_]) -> list[str]:
    """What of a column of text, without gaps, is no number, in order, where most of it is; else nothing."""
    others = [value for value in there.tolist() if not _is_number(value)]
    return sorted(set(others)) if len(others) <= (1 - MOSTLY) * len(there) else []


def _is_number(value: str) -> bool:
    try:
        number(value)
    except ValueError:
        return False
    return True


def _spelt(found: list[str]) -> str:
    return (
        f"is of numbers that are spelt as no number is here, such as '{found[0]}', and read as {len(found):,} "
        "categories: if it is a quantity, write plain numbers, or set decimal"
    )


def _spoilt(others: list[str], rows: int, categories: int) -> str:
    shown = ", ".join(sorted(set(others))[:5])
    return (
        f"is read as {categories:,} categories, since {len(others):,} of its {rows:,} values are no numbers: {shown}; "
        "if these are gaps, add them to missing_values"
    )
