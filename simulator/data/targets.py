"""From a column of whatever a data set predicts to targets: classes from 0 on, or quantities."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import wrong
from simulator.data.label_table import MOST_CLASSES

SEVERAL = 20  # classes, up to which there may be as many as samples
Meaning = Literal["auto", "classes", "quantity"]


@dataclass(frozen=True)
class Targets:
    """What is predicted.

    Attributes:
        values: int64 [N] classes, or float32 [N] or [N, L] quantities.
        names: one a class, or one a column of quantities.
        notes: how values became classes.
    """

    values: NDArray[Any]
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()


def read_targets(name: str, values: NDArray[Any], meaning: Meaning = "auto", columns: Sequence[str] = ()) -> Targets:
    """What ``values`` are: text, yes and no, and whole numbers are classes, in ascending order; fractions quantities.

    Args:
        name: what to call them in notes and errors.
        values: [N], or [N, L]; rows of 0 with a single 1 are recognised as classes.
        meaning: says it, where it does not follow from the type.
        columns: what the L columns are called.

    Raises:
        InputError: some are missing or infinite, or of no type that can be predicted.
    """
    if values.dtype == object and any(not isinstance(item, str) for item in values.ravel()):
        kinds = sorted({type(item).__name__ for item in values.ravel()})
        raise wrong("", f"{name} holds Python objects ({', '.join(kinds)}).", "Give numbers or text, one a sample.")
    if values.dtype.kind == "f" and (bad := int(values.size - np.isfinite(values).sum())):
        what = f"{name} has {bad:,} values that are missing or infinite."
        raise wrong("", what, "Drop these samples (missing: drop_rows), or take another target.")
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 2:
        return _several(name, values, meaning, columns or tuple(map(str, range(values.shape[1]))))
    if values.ndim != 1:
        raise wrong("", f"{name} has shape {values.shape}.", "Give one target a sample, or one row of them.")
    if meaning == "quantity" or (meaning == "auto" and values.dtype.kind == "f"):
        return Targets(_quantities(name, values), tuple(columns) or (name,))
    if meaning == "classes" and values.dtype.kind == "f" and (values == np.round(values)).all():
        values = values.astype(np.int64)
    return _classes(name, values)


def _several(name: str, values: NDArray[Any], meaning: Meaning, columns: Sequence[str]) -> Targets:
    if meaning != "quantity" and _is_one_hot(values):
        note = f"{name} is one-hot: taken as {len(columns)} classes"
        return Targets(values.argmax(axis=1).astype(np.int64), tuple(columns), (note,))
    return Targets(_quantities(name, values), tuple(columns))


def _is_one_hot(values: NDArray[Any]) -> bool:
    if values.dtype.kind not in "biuf":
        return False
    return bool(((values == 0) | (values == 1)).all() and (values.sum(axis=1) == 1).all())


def _quantities(name: str, values: NDArray[Any]) -> NDArray[np.float32]:
    if values.dtype.kind not in "biuf":
        what = f"{name} holds text, and no quantities{_words(values)}."
        raise wrong("", what, "Write numbers, list what stands for a gap (missing_values), or take another target.")
    return values.astype(np.float32)


def _words(values: NDArray[Any]) -> str:
    """What of text is no number; empty where there is none."""
    words = sorted({text for text in values.ravel().astype(str).tolist() if not _is_number(text)})
    return f", such as '{words[0]}'" if words else ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _classes(name: str, values: NDArray[Any]) -> Targets:
    found, numbers = np.unique(values.astype(str) if values.dtype == object else values, return_inverse=True)
    if len(found) > MOST_CLASSES:
        what = f"{name} has {len(found):,} different values."
        raise wrong("", what, "These are too many for classes: take quantities, or another target.")
    names = tuple(map(str, found.tolist()))
    counted = found.dtype.kind in "iu" and bool(len(found)) and found[0] == 0 and found[-1] == len(found) - 1
    notes = [] if counted else [f"{name}: {shortened(names)} are classes 0 to {len(names) - 1}, in this order"]
    if len(names) > max(SEVERAL, len(values) / 2):
        what = f"{name} has {len(names):,} classes for {len(values):,} samples"
        notes.append(f"{what}; if it is a quantity, take it as one: meaning: quantity, or floats")
    return Targets(numbers.astype(np.int64), names, tuple(notes))


def shortened(names: Iterable[str], most: int = 12) -> str:
    """``names`` with commas; of many, the first and the last."""
    found = list(names)
    return ", ".join(found if len(found) <= most else [*found[: most - 2], "...", found[-1]])
