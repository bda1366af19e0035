"""A comparison as a LaTeX table, to paste into a paper."""

from __future__ import annotations

import re

from simulator.results.comparison.table import Comparison
from simulator.results.comparison.text import TEXT_COLUMNS
from simulator.results.formatting import MISSING

WRITTEN = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"},
    **{"±": r"$\pm$", "∞": r"$\infty$", MISSING: "--"},
}
SPECIAL = re.compile("|".join(map(re.escape, WRITTEN)))
NUMBER = re.compile(r"-?[\d,]+(?:\.\d+)?(?:e[-+]\d+)?")


def as_latex(comparison: Comparison) -> str:
    """The table for LaTeX with the package booktabs; what is to be said of unfinished runs stands in comments."""
    columns = "l" * TEXT_COLUMNS + "r" * (len(comparison.header) - TEXT_COLUMNS)
    lines = [
        "% \\usepackage{booktabs}",
        *(f"% {line}" for note in comparison.notes for line in note.splitlines()),
        f"\\begin{{tabular}}{{{columns}}}",
        "\\toprule",
        _line([_text(name) for name in comparison.header]),
        "\\midrule",
        *(_line([*map(_text, row[:TEXT_COLUMNS]), *map(_number, row[TEXT_COLUMNS:])]) for row in comparison.rows),
        "\\bottomrule",
        "\\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _line(cells: list[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _text(text: str) -> str:
    return SPECIAL.sub(lambda found: WRITTEN[found[0]], text)


def _number(cell: str) -> str:
    """A number, or two with ± between them, in math; whatever else stands in the cell as text."""
    parts = cell.split(" ± ")
    if not all(map(NUMBER.fullmatch, parts)):
        return _text(cell)
    return "$" + r" \pm ".join(map(_in_math, parts)) + "$"


def _in_math(number: str) -> str:
    mantissa, _, exponent = number.replace(",", "{,}").partition("e")
    return f"{mantissa} \\times 10^{{{int(exponent)}}}" if exponent else mantissa
