"""The order in which parts that a result names stand in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def in_order(names: Iterable[str], order: Sequence[str]) -> list[str]:
    """``names`` as they stand in ``order``; those that do not, which other packages bring, come after, by name."""
    return sorted(names, key=lambda name: (order.index(name) if name in order else len(order), name))
