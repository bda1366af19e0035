"""Numbers and settings as people read them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import floor, isfinite, isinf, log10
from typing import Any, NamedTuple

MISSING = "\N{EN DASH}"
MEGABYTE = 1e6
DIGITS = 4
# A number as a text, alone or with what it is uncertain by: "0.61 ± 0.02" or "0.61 [0.58, 0.64]".
MEASURED = re.compile(rf"-?[\d.,]+(e[-+]?\d+)?( ?%|\s±\s.*|\s\[.*\])?|{MISSING}")

Value = str | int | float


class Cell(NamedTuple):
    """One cell of a table, ready to show; numbers stand at the right.

    ``value`` is the number itself where the text shows it rounded or with separators; else it is empty.
    """

    text: str
    numeric: bool
    value: str = ""


def significant(value: float, digits: int = DIGITS) -> str:
    """``value`` to that many significant digits, without an exponent unless it is tiny."""
    if not isfinite(value) or value == 0 or abs(value) >= 1e-4:
        return fixed(value, _decimals(value, digits))
    return f"{value:.{digits - 1}e}"


def fixed(value: float, decimals: int) -> str:
    """``value`` with that many decimals; a dash where it is not known."""
    if isinf(value):
        return "∞" if value > 0 else "-∞"
    return f"{value:,.{decimals}f}" if isfinite(value) else MISSING


def percent(share: float) -> str:
    """A share of 1 as a percentage."""
    return f"{share:.1%}" if isfinite(share) else MISSING


def megabytes(count: float) -> str:
    """Bytes in units of 10^6 bytes."""
    return f"{significant(count / MEGABYTE, 3)} MB"


def duration(seconds: float) -> str:
    """Hours, minutes and seconds; a dash where they are not known."""
    if not isfinite(seconds):
        return MISSING
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def describe(setting: Any) -> str:
    """A block of settings on one line: its name, and the rest in brackets; what is unset is left out."""
    if isinstance(setting, Mapping):
        rest = [f"{key} {text}" for key, value in setting.items() if key != "name" and (text := describe(value))]
        name = setting.get("name")
        return f"{name} ({', '.join(rest)})" if name and rest else str(name or ", ".join(rest))
    if isinstance(setting, list | tuple):
        nested = any(isinstance(item, Mapping) for item in setting)
        return "; ".join(map(describe, setting)) if nested or not setting else f"[{', '.join(map(describe, setting))}]"
    if isinstance(setting, bool):
        return "yes" if setting else "no"
    return "" if setting is None else str(setting)


def nodes_named(nodes: Sequence[int]) -> str:
    """``nodes`` in a sentence: "node 3", or "nodes 2 and 3"."""
    *others, last = map(str, nodes)
    return f"nodes {', '.join(others)} and {last}" if others else f"node {last}"


def names_of(labels: Sequence[str]) -> list[str]:
    """Nodes by their numbers, and by their names too where they have any."""
    return [label if label == str(node) else f"{node} {label}" for node, label in enumerate(labels)]


def cells(rows: Sequence[Sequence[Value]]) -> list[list[Cell]]:
    """Rows of cells; all floats of a column get the same number of decimals, so that they line up."""
    columns = [_column(column) for column in zip(*rows, strict=True)]
    return [list(row) for row in zip(*columns, strict=True)]


def _column(values: Sequence[Value]) -> list[Cell]:
    sizes = [abs(value) for value in values if isinstance(value, float) and isfinite(value)]
    decimals = _decimals(max(sizes, default=0.0), DIGITS)
    texts = [value for value in values if isinstance(value, str)]
    # Whole numbers alone are names: of nodes, of seeds.
    measured = all(map(MEASURED.fullmatch, texts)) and not all(text.isdecimal() for text in texts)
    return [_cell(value, decimals, measured) for value in values]


def _cell(value: Value, decimals: int, measured: bool) -> Cell:
    if isinstance(value, str):
        return Cell(value, measured or value == MISSING)
    tiny = isinstance(value, float) and 0 < abs(value) < 0.5 * 10.0**-decimals
    text = significant(value) if tiny else fixed(value, decimals) if isinstance(value, float) else f"{value:,}"
    exact = f"{value:.10g}" if isinstance(value, float) else str(value)
    return Cell(text, True, exact if isfinite(value) and exact != text else "")


def _decimals(value: float, digits: int) -> int:
    """Decimals that give ``digits`` significant digits."""
    return max(0, digits - 1 - floor(log10(abs(value)))) if value and isfinite(value) else 0
