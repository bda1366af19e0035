"""The columns of tables: numbers with NaN for what is missing, or text with None."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import did_you_mean, wrong
from simulator.data.tabular.reading import read_frame

if TYPE_CHECKING:
    import pandas as pd

MISSING = ("", "?", "NA", "N/A", "NaN", "nan", "null")
_CODE = re.compile(r"0\d+")
Columns = Mapping[str, NDArray[Any]]  # float64, or object of str and None
NONE_DECLARED: Mapping[str, Sequence[str]] = {}


class Gaps:
    """What stands for nothing in a column: text by its letters, and numbers by what they are, however they are spelt.

    -999, -999.0 and "-999" are one; "0999" is a code, and True no number.
    """

    def __init__(self, missing: Iterable[str | float], names: Iterable[str] = ()) -> None:
        """Of what stands for nothing in any column, all but the column's own categories or classes ``names``."""
        own = frozenset(map(label, names))
        found = [each for each in missing if label(each) not in own]
        self._texts = frozenset(map(text, found))
        self._numbers = frozenset(label(each) for each in found if _is_number(each))

    def __contains__(self, value: str | float) -> bool:
        return text(value) in self._texts or (bool(self._numbers) and label(value) in self._numbers)


def read_columns(
    files: Sequence[Path],
    missing: Sequence[str | float] = MISSING,
    separator: str | None = None,
    decimal: str = ".",
    categories: Mapping[str, Sequence[str]] = NONE_DECLARED,
) -> tuple[Columns, NDArray[Any]]:
    """The columns of ``files``, one after the other, and for each row the name of its file without suffix.

    A column is of numbers if all that is not missing is; the file's own types do not decide that, so a table is the
    same from CSV and from Parquet. Yes and no are text, "True" and "False"; and so are whole numbers with leading zeros
    or more than 15 digits, which are names of something.

    Args:
        files: with the same columns.
        missing: what stands for nothing, in any column, as `Gaps` compares it.
        separator: of CSV files; None: a comma, and a tabulator where the file's name ends with .tsv.
        decimal: what stands before the fraction in numbers of CSV files.
        categories: declared ones, by column, which stand for themselves there.

    Raises:
        InputError: pandas or pyarrow is not installed, a file cannot be read, or files have different columns.
    """
    frames = [read_frame(file, separator, decimal) for file in files]
    first = list(frames[0].columns)
    for file, frame in zip(files, frames, strict=True):
        if odd := sorted(set(first) ^ set(frame.columns)):
            what = f"{file.name} and {files[0].name} do not have the same columns: {', '.join(odd[:5])}."
            raise wrong("path", what, "Give all files the same columns; the order does not matter.")
        if frame.empty:
            raise wrong("path", f"{file.name} has no rows.", "Remove it, or fill it.")
    gaps = {name: Gaps(missing, categories.get(name, ())) for name in first}
    columns = {name: _column(name, [frame[name] for frame in frames], gaps[name]) for name in first}
    return columns, np.concatenate([np.full(len(f), file.stem) for file, f in zip(files, frames, strict=True)])


def column(columns: Columns, name: str, where: str) -> NDArray[Any]:
    """The column called ``name``.

    Raises:
        InputError: there is none; placed under the setting ``where``.
    """
    if name not in columns:
        raise wrong(where, f"there is no column '{name}'.", did_you_mean(name, list(columns), "columns"))
    return columns[name]


def is_missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a column holds nothing."""
    if values.dtype.kind == "f":
        return np.asarray(np.isnan(values))
    return np.array([value is None for value in values.tolist()], dtype=np.bool_)


def as_labels(values: NDArray[Any]) -> NDArray[Any]:
    """A column without gaps as int64, float64 or text."""
    if values.dtype.kind in "OU":
        return values.astype(str)
    return values.astype(np.int64) if (values == np.round(values)).all() and (abs(values) < 2**53).all() else values


def _column(name: str, parts: Sequence[pd.Series[Any]], missing: Gaps) -> NDArray[Any]:
    values = np.concatenate([cells(name, part, missing) for part in parts])
    there = ~is_missing(values)
    try:
        numbers = np.full(len(values), np.nan)
        numbers[there] = [number(each) for each in values[there]]
    except ValueError:
        texts = values.copy()
        texts[there] = [text(each) for each in values[there]]
        return texts
    return numbers


def cells(name: str, part: pd.Series[Any], missing: Gaps) -> NDArray[Any]:
    """The cells of a column as they stand, object [N] of numbers, text and None, which gaps are, too.

    Raises:
        InputError: it holds something else, such as dates or lists.
    """
    values = part.to_numpy(dtype=object, na_value=None)
    values = np.array([_stripped(each, missing) for each in values.tolist()], dtype=object)
    strange = {type(each).__name__ for each in values if not isinstance(each, str | bool | int | float | None)}
    if strange:
        what = f"column '{name}' holds {', '.join(sorted(strange))}."
        raise wrong("", what, "Turn it into numbers or text, or leave it out: drop.")
    return values


def _stripped(value: Any, missing: Gaps) -> Any:
    if isinstance(value, str):
        value = value.strip()
    elif isinstance(value, float) and value != value:
        return None
    return None if isinstance(value, str | int | float) and value in missing else value


def number(value: Any) -> float:
    """The number that ``value`` is or spells.

    Raises:
        ValueError: it is none, or has more digits than a float keeps; or leading zeros, which codes and names have.
    """
    if isinstance(value, bool) or (isinstance(value, str) and ("_" in value or _CODE.fullmatch(value))):
        raise ValueError
    found = float(value)
    if abs(found) >= 2**53 and (isinstance(value, int) or (isinstance(value, str) and value.lstrip("+-").isdigit())):
        raise ValueError
    return found


def _is_number(value: str | float) -> bool:
    try:
        return not isnan(number(value))
    except ValueError:
        return False


def label(value: Any) -> str:
    """What a cell of categories or classes says, whatever else its column holds: 1, 1.0 and "1" are "1"."""
    try:
        return text(number(value))
    except ValueError:
        return text(value)


def text(value: Any) -> str:
    """``value`` as text; of a whole number without a point."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
