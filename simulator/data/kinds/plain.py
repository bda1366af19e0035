"""Arrays of no kind that the simulator knows more of: networks are given them as they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import wrong
from simulator.core.preparation import AsStored, Preparation
from simulator.core.specification import InputSpec
from simulator.data.kinds.kind import InputKind, StoredArrays

STORABLE = ("float16", "float32", "float64", "uint8", "int16", "int32", "int64")


@dataclass(frozen=True)
class Plain(InputKind):
    """Numbers of any shape, [N, ...]: one array, or several by name, which a network is given by these names."""

    def check(self, name: str, inputs: StoredArrays) -> None:
        """Types, and that all fractions are numbers."""
        for title, array in called(name, inputs):
            refuse_objects(title, array)
            if array.dtype.name not in STORABLE:
                what = f"{title} has type {array.dtype}."
                raise wrong("", what, f"Convert it to one of {', '.join(STORABLE)}.")
            if array.ndim == 0 or array.size == 0:
                raise wrong("", f"{title} holds nothing: shape {array.shape}.", "Give at least one sample.")
            bad = 0 if array.dtype.kind != "f" else int(array.size - np.isfinite(array).sum())
            if bad:
                rows = int((~np.isfinite(array.reshape(len(array), -1))).any(axis=1).sum())
                what = f"{title} holds {bad:,} values that are NaN or infinite, in {rows:,} of {len(array):,} samples."
                raise wrong("", what, "Fill them in or drop these samples; a 'table' can impute missing numbers.")

    def preparation(self, inputs: StoredArrays, rows: NDArray[np.int64]) -> Preparation:
        """None but for types."""
        return AsStored()

    def specification(self, inputs: StoredArrays) -> InputSpec:
        """The shape of one sample, array by array."""
        if isinstance(inputs, np.ndarray):
            return InputSpec("arrays", inputs.shape[1:])
        return InputSpec("arrays", parts={name: array.shape[1:] for name, array in inputs.items()})


def called(name: str, inputs: StoredArrays) -> Iterator[tuple[str, NDArray[Any]]]:
    """What to call each array in errors, and the array."""
    if isinstance(inputs, np.ndarray):
        yield name, inputs
    else:
        yield from ((f"{name}['{part}']", array) for part, array in inputs.items())


def refuse_objects(name: str, array: NDArray[Any]) -> None:
    """Refuse an array of Python objects, and say what is in it.

    Raises:
        InputError: it is one.
    """
    if array.dtype != object:
        return
    kinds = sorted({type(item).__name__ for item in array.ravel()[:1000]})
    lengths = {len(item) for item in array.ravel()[:1000] if hasattr(item, "__len__") and not isinstance(item, str)}
    what = f"{name} is an array of Python objects ({', '.join(kinds)})."
    if len(lengths) > 1:
        advice = f"Its items have lengths from {min(lengths)} to {max(lengths)}: pad them to one length."
        raise wrong("", what, advice)
    raise wrong("", what, "Give numbers: numpy.stack joins arrays of one shape, and text has a data set of its own.")
