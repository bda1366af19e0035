"""What a table's columns may be meant as, beside what they are read as: told, and never decided for the user."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.data.tabular.frames import Columns, as_labels, is_missing

NUMBERED = 20  # rows, from which on values that are all different are rather names of rows than what to learn from
NUMBER_LIKE = re.compile(r"[^\w\s]?\s?[+-]?\d[\d.,'\s]*(e[+-]?\d+)?\s*%?", re.IGNORECASE)  # as people write them, too
DATE = re.compile(r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2}))([T ]\d{1,2}:\d.*)?")
WITH_UNIT = re.compile(r"[+-]?\d[\d.,]*\s*(?P<unit>[^\W\d_][^\d]*|[°µ][^\d]*)")
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


def telling(inputs: Columns, targets: Columns) -> Iterator[Doubt]:
    """Which columns are a target in other words: one value of theirs for each of the target's, and the other way round.

    Where targets hardly recur, that is so of every column of numbers of rows, and says nothing.
    """
    for target, wanted in targets.items():
        classes, numbers = np.unique(wanted, return_inverse=True)
        if len(wanted) < NUMBERED or not 1 < len(classes) <= MOSTLY * len(wanted):
            continue
        for name, values in inputs.items():
            plain = np.where(is_missing(values), "", values).astype(str) if values.dtype == object else values
            found, codes = np.unique(plain, return_inverse=True)
            if len(found) == len(classes) == len(np.unique(codes * len(classes) + numbers)):
                what = f"'{name}' has one value for each of '{target}', and tells it"
                yield Doubt(what, f"if it is the target in other words, leave it out (drop: [{name}])")


def apart(numbers: Columns, homes: NDArray[Any], at: str, others: str) -> Iterator[Doubt]:
    """Which columns of numbers have values in one home whose middle is beyond all values elsewhere, as other units are.

    Args:
        numbers: the columns.
        homes: [N], where each row comes from, such as its site.
        at: what to call one home, with its name for {}.
        others: what to call all other homes together.
    """
    names, rows, counts = np.unique(homes, return_inverse=True, return_counts=True)
    order, ends = np.argsort(rows, kind="stable"), np.cumsum(counts)[:-1]
    for name, values in numbers.items():
        parts = [part[~is_missing(part)] for part in np.split(values[order].astype(np.float64), ends)]
        lows = np.array([part.min(initial=np.inf) for part in parts])
        highs = np.array([part.max(initial=-np.inf) for part in parts])
        for number, mine in enumerate(parts):
            if min(len(mine), sum(map(len, parts)) - len(mine)) < NUMBERED or len(np.unique(mine)) < SEVERAL:
                continue
            low, high = np.delete(lows, number).min(), np.delete(highs, number).max()
            if not low <= np.median(mine) <= high:
                here = f"from {lows[number]:g} to {highs[number]:g} {at.format(names[number])}"
                what = f"'{name}' is {here}, and from {low:g} to {high:g} {others}"
                yield Doubt(what, "if one of them is in another unit, convert it")
                break  # of two homes, each is as far from the other


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
    if len(found) > 2 and _unit(found):
        what = f"'{name}' is of numbers with a unit, such as '{found[0]}', and read as {len(found):,} categories"
        return Doubt(what, "if it is a quantity, write the numbers alone")
    if not len(there) or len(others) > (1 - MOSTLY) * len(there):
        return None
    if not others:
        what = f"'{name}' is of numbers that are spelt as no number is here, such as '{found[0]}', and read as"
        return Doubt(f"{what} {len(found):,} categories", "if it is a quantity, write plain numbers, or set decimal")
    shown = ", ".join(sorted(set(others))[:5])
    what = f"'{name}' is read as {len(found):,} categories, since {len(others):,} of its {len(there):,} values are no"
    return Doubt(f"{what} numbers ({shown})", "write numbers; if these are gaps, add them to missing_values")


def _unit(values: Sequence[str]) -> str:
    """The unit that all of them have behind a number; empty where there is none, or another one."""
    found = [WITH_UNIT.fullmatch(value) for value in values]
    units = {match["unit"].strip() if match else "" for match in found}
    return units.pop() if len(units) == 1 else ""


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
