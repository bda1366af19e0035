"""The form of samples and targets: what is only nearly right is told, and not guessed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import wrong
from simulator.core.task import Task

WHERE = "--data"


def check_lengths(**arrays: NDArray[Any]) -> None:
    """Refuse arrays, by name, that hold different numbers of samples.

    Raises:
        InputError: saying how many each holds.
    """
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} has {length:,}" for name, length in lengths.items())
        raise wrong(WHERE, f"arrays differ in their numbers of samples: {told}.", "Give one of each for every sample.")


def inputs_of(name: str, x: NDArray[Any]) -> NDArray[Any]:
    """The samples ``x``, called ``name``: uint8 images, floats, or int64 tokens.

    Raises:
        InputError: they are of another type or shape, or not finite.
    """
    if x.dtype.kind not in "fi" and x.dtype != np.uint8:
        raise wrong(WHERE, f"{name} is {x.dtype}.", "Give uint8 images, floats, or int64 tokens.")
    if x.ndim < 2 or x.size == 0:
        raise wrong(WHERE, f"{name} has shape {x.shape}.", "Give [samples, ...], one row a sample at least.")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        rows = int((~np.isfinite(x.reshape(len(x), -1))).any(axis=1).sum())
        what = f"{name} holds values that are NaN or infinite, in {rows:,} of {len(x):,} samples."
        raise wrong(WHERE, what, "Fill them in as for training, or drop these samples here and in the mask.")
    if x.dtype != np.uint8:
        return x.astype(np.int64) if x.dtype.kind == "i" else x
    if x.ndim == 4 and x.shape[1] in (1, 3) and x.shape[3] not in (1, 3):
        what = f"{name} has shape {x.shape}, with the channels in front."
        raise wrong(WHERE, what, f"Images are [samples, height, width, channels]: {name}.transpose(0, 2, 3, 1).")
    if x.ndim != 4:
        what = f"{name} is uint8 of shape {x.shape}, and no images."
        raise wrong(WHERE, what, f"Images are [samples, height, width, channels], gray ones too: {name}[..., None].")
    return x


def targets_of(name: str, y: NDArray[Any], task: Task) -> NDArray[Any]:
    """The targets ``y``, called ``name``: int64 where they are whole numbers, as classes are, and else as they were.

    Raises:
        InputError: they are nothing that the ``task`` could be about.
    """
    if not task.has_classes:
        if y.dtype.kind not in "fiub" or not np.isfinite(y).all():
            raise wrong(WHERE, f"{name} is {y.dtype}, or not finite.", "Give numbers.")
        return y.astype(np.int64) if y.dtype.kind in "iub" else np.array(y)
    if y.dtype.kind in "US" or y.dtype == object:
        raise wrong(WHERE, f"{name} holds no numbers, but {y.dtype}.", "Number the classes from 0, as for training.")
    if y.ndim == 2 and y.shape[1] > 1 and ((y == 0) | (y == 1)).all() and (y.sum(1) == 1).all():
        raise wrong(WHERE, f"{name} is one-hot, of shape {y.shape}.", f"Give the classes: {name}.argmax(1).")
    if y.ndim != 1:
        advice = (
            f"Give one class a sample: {name}[:, 0]." if y.ndim == 2 and y.shape[1] == 1 else "Give one class a sample."
        )
        raise wrong(WHERE, f"{name} has shape {y.shape}.", advice)
    if y.dtype.kind not in "iu":
        raise wrong(WHERE, f"{name} is {y.dtype}, and no classes.", f"Give whole numbers: {name}.astype(int).")
    if y.min(initial=0) < 0:
        raise wrong(WHERE, f"{name} holds {y.min()}.", "Number the classes from 0, as for training.")
    return y.astype(np.int64)
