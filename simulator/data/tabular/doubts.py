"""What a table's columns may be meant as, beside what they are read as: told, and never decided for the user."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.data.tabular.frames import Columns, as_labels, is_missing

NUMBERED = 20  # rows, from which on values that are all different are rather names of rows than what to learn from
NUMBER_LIKE = re.compile(r"[^\w\s]?\s?[+-]?\d[\d.,'\s]*(e[+-]?\d+)?\s*%?", re.IGNORECASE)  # as people write them, too
DATE = re.compile(r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2}))([T ]\d{1,2}:\d.*)?")
SEVERAL = 10  # different numbers, from which on some of them may be told to be far from the others
FEW, BESIDE = 3, 5  # different numbers at an end that may be far, and those next to them that they are compared with
FAR_OFTEN, FAR_ONCE = 1, 100  # times the range of all others, of a number that recurs and of one that does not
MOSTLY = 0.5  # share of a column's values from which on it is meant to be of them


class Doubt(NamedTuple):
    """What may be meant otherwise, and what to do if it is."""

    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.what}: {self.advice}"


def numbered(numbers: Columns) -> Iterator[Doubt]:
    """Which columns of numbers seem to name rows, or people, and would be taken for quantities."""
    for name, values in numbers.items():
        there = values[~is_missing(values)].astype(np.float64)
        if len(there) >= NUMBERED and (there == np.rint(there)).all() and len(np.unique(there)) == len(there):
            what = f"'{name}' has another whole number in each row, and is learnt from as a quantity"
            yield Doubt(what, f"if it numbers rows or people, leave it out (drop: [{name}], or out of the schema)")


def extremes(numbers: Columns, of: str = "") -> Iterator[Doubt]:
    """Which columns of numbers have some that are as far from all others as no other is: codes of gaps, or slips.

    Args:
        numbers: the columns.
        of: what they are, if not inputs, such as "the target ".
    """
    for name, values in numbers.items():
        found, times = np.unique(values[~is_missing(values)].astype(np.float64), return_counts=True)
        low, high = _far(found, times)
        if low == 0 and high == len(found):
            continue
        far = [*range(low), *range(high, len(found))]
        told = " and ".join(f"{times[each]:,} are {found[each]:g}" for each in far)
        codes = ", ".join(f"{found[each]:.15g}" for each in far)
        what = f"of {times.sum():,} values of {of}'{name}', {told}, and all others from {found[low]:g} to"
        gap = "it stands for a gap, list it" if len(far) == 1 else "they stand for gaps, list them"
        yield Doubt(f"{what} {found[high - 1]:g}", f"if {gap}: missing_values: [{codes}]")


def _far(found: NDArray[np.float64], times: NDArray[np.int64]) -> tuple[int, int]:
    """Where those of the ascending numbers ``found`` begin and end that are not far; each is there so many ``times``.

    As many as can be are left out at both ends at once: of -999 and -998, neither is far while the other is there.
    """
    for low, high in sorted(product(range(FEW + 1), repeat=2), key=sum, reverse=True):
        if len(found) - low - high < SEVERAL - 1:
            continue
        if _are_far(found, times, low, high) and _are_far(-found[::-1], times[::-1], high, low):
            return low, len(found) - high
    return 0, len(found)


def _are_far(found: NDArray[np.float64], times: NDArray[np.int64], few: int, last: int) -> bool:
    """Whether the first ``few``, if there are any, are far from the others, without the ``last`` ones.

    Numbers with a long tail recur, too, where rows do, but then no more often than those beside them.
    """
    if few == 0:
        return True
    others = found[few : len(found) - last]
    recurs = times[:few].max() > times[few : few + BESIDE].max()
    return bool(others[0] - found[few - 1] > (others[-1] - others[0]) * (FAR_OFTEN if recurs else FAR_ONCE))


def categories(texts: Columns) -> Iterator[Doubt]:
    """Which columns of text, whose values nobody has declared to be categories, seem to be numbers or names of rows."""
    for name, values in texts.items():
        if doubt := of_text(name, values) or _of_names(name, values):
            yield doubt


def of_text(name: str, values: NDArray[Any]) -> Doubt | None:
    """What a column of text is rather than categories: dates or numbers; None where it is neither."""
    there = _there(values)
    found, others = np.unique(there).tolist(), [value for value in there.tolist() if not NUMBER_LIKE.fullmatch(value)]
    if len(there) >= NUMBERED and all(DATE.fullmatch(value) for value in found):
        what = f"'{name}' is of dates, such as '{found[0]}', each of {len(found):,} a category of its own"
        return Doubt(what, f"leave the column out (drop: [{name}]), or write a number, such as days or the month")
    if not len(there) or len(others) > (1 - MOSTLY) * len(there):
        return None
    if not others:
        what = f"'{name}' is of numbers that are spelt as no number is here, such as '{found[0]}', and read as"
        return Doubt(f"{what} {len(found):,} categories", "if it is a quantity, write plain numbers, or set decimal")
    shown = ", ".join(sorted(set(others))[:5])
    what = f"'{name}' is read as {len(found):,} categories, since {len(others):,} of its {len(there):,} values are no"
    return Doubt(f"{what} numbers ({shown})", "write numbers; if these are gaps, add them to missing_values")


def _of_names(name: str, values: NDArray[Any]) -> Doubt | None:
    there = _there(values)
    if len(there) < NUMBERED or len(found := np.unique(there)) <= MOSTLY * len(there):
        return None
    what = f"'{name}' has {len(found):,} different texts in {len(there):,} rows, each a category of its own"
    rows, numbers = f"leave the column out (drop: [{name}])", "write the numbers alone"
    return Doubt(what, f"if they name rows, {rows}; if they are numbers with a unit, {numbers}")


def _there(values: NDArray[Any]) -> NDArray[np.str_]:
    texts: NDArray[np.str_] = as_labels(values[~is_missing(values)])
    return texts
