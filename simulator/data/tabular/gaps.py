"""What is done about rows in which something is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import wrong
from simulator.data.tabular.frames import Columns, as_labels, is_missing

Missing = Literal["refuse", "impute", "drop_rows"]


def kept_rows(
    named: Columns, inputs: Columns, sites: NDArray[Any] | None, missing: Missing
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Which rows stay, bool [N], and what to tell of the others, by site.

    Args:
        named: the target, the site and the group, of which nothing can be imputed.
        inputs: what a network is given.
        sites: where each row comes from.
        missing: what the user wants.

    Raises:
        InputError: something is missing that the user does not want to be imputed or dropped, or no row is whole.
    """
    needed = dict(named) if missing == "impute" else {**named, **inputs}
    gaps = {name: gap for name, values in needed.items() if (gap := is_missing(values)).any()}
    count = len(next(iter(named.values())))
    if not gaps:
        return np.ones(count, dtype=np.bool_), ()
    counted = _counted({name: int(gap.sum()) for name, gap in gaps.items()})
    if missing != "drop_rows":
        advice = "Set missing: impute (the mean, and a column that marks it) or missing: drop_rows, or drop columns."
        if gaps.keys() & named.keys():
            advice = "Only inputs can be imputed: set missing: drop_rows, or fill these in."
        raise wrong("missing", f"of {count:,} rows, some lack {counted}.", advice)
    lost = np.logical_or.reduce(list(gaps.values()))
    if lost.all():
        raise wrong("missing", f"each of the {count:,} rows lacks something: {counted}.", "Leave columns out: drop.")
    note = f"{int(lost.sum()):,} of {count:,} rows are dropped, which lack {counted}"
    return ~lost, (note if sites is None else f"{note}; by site: {_by_site(sites[lost])}",)


def _by_site(sites: NDArray[Any]) -> str:
    named = np.full(len(sites), "(no site)", dtype=object)
    known = ~is_missing(sites)
    named[known] = as_labels(sites[known]).astype(str)
    names, counts = np.unique(named.astype(str), return_counts=True)
    return ", ".join(f"{name} {count:,}" for name, count in zip(names, counts, strict=True))


def _counted(gaps: Mapping[str, int], most: int = 10) -> str:
    shown = ", ".join(f"{name} ({count:,})" for name, count in list(gaps.items())[:most])
    return f"{shown} and {len(gaps) - most} more" if len(gaps) > most else shown
