"""Texts of others, as they can be shown on a terminal and written into a log."""

from typing import Any

LONGEST = 2_000  # characters that are kept of what a stranger's code says


def printable(text: Any) -> str:
    """``text`` without what a terminal would do something else with than to show it."""
    return "".join(c if c.isprintable() or c in "\n\t" else "?" for c in str(text))


def excerpt(text: Any) -> str:
    """The beginning of ``text``, which may be anything, as `printable` gives it."""
    return printable(str(text)[:LONGEST])
