"""Who trained on what: a truth value for each model and sample."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import InputError, Problem

Bools = NDArray[np.bool_]
WHERE = "--members"


def checked(members: NDArray[Any], models: int, samples: int) -> Bools:
    """``members``, bool [models, samples].

    Raises:
        InputError: it has another type or shape; a model trained on all or on none of the samples, or a sample was
            trained on by all models or by none.
    """
    if problems := list(_form(members, models, samples)) or list(_sides(members)):
        raise InputError(*problems)
    return members


def _form(members: NDArray[Any], models: int, samples: int) -> Iterator[Problem]:
    if members.dtype != np.bool_:
        advice = "Give truth values: members.astype(bool), if it holds 0 and 1 only."
        yield Problem(WHERE, f"members is {members.dtype}, and not bool.", advice)
    if members.shape != (models, samples):
        turned = members.shape == (samples, models)
        what = f"members has shape {members.shape}, for {models} models and {samples:,} samples."
        yield Problem(
            WHERE, what, "Transpose it: members.T." if turned else "Give one row a model, one column a sample."
        )


def _sides(members: Bools) -> Iterator[Problem]:
    for model, row in enumerate(members):
        if row.all() or not row.any():
            what = f"model {model} trained on {'all' if row.any() else 'none'} of the samples"
            advice = "Add samples from the same source that it did not train on" if row.any() else "Leave it out"
            yield Problem(WHERE, f"{what}, so there is nobody to be told apart.", f"{advice}.")
    for what, columns in (("no model", ~members.any(axis=0)), ("every model", members.all(axis=0))):
        if columns.any():
            shown = ", ".join(map(str, np.flatnonzero(columns)[:5]))
            told = (
                f"{what} trained on {columns.sum():,} of the samples, such as {shown}: nothing can be compared there."
            )
            yield Problem(WHERE, told, "Leave these samples out, of the data and of the mask.")
