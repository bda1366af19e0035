"""From what a site writes for a target to classes or quantities, by the schema and value by value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import Problem
from simulator.data.sites.schema import TargetSchema
from simulator.data.targets import shortened

UNKNOWN = -1


def classes_of(
    where: str, labels: Sequence[str | None], target: TargetSchema
) -> tuple[NDArray[np.int64], list[Problem]]:
    """int64 [N]: the number of each label's class, -1 for one that is missing or unknown; and what is wrong.

    Args:
        where: the labels stand.
        labels: as `simulator.data.tabular.frames.label` spells them; None where one is missing, which is no problem
            here.
        target: the classes.
    """
    place = {name: number for number, name in enumerate(target.classes)}
    numbers = np.array([UNKNOWN if each is None else place.get(each, UNKNOWN) for each in labels], dtype=np.int64)
    strange = [each for each, number in zip(labels, numbers, strict=True) if number == UNKNOWN and each is not None]
    if not strange:
        return numbers, []
    shown = shortened(sorted(set(strange)), most=5)
    what = f"{len(strange):,} of {len(labels):,} labels are none of the classes that are declared: {shown}."
    return numbers, [Problem(where, what, f"Declared are {shortened(target.classes)}; write them in the same way.")]


def check_quantities(where: str, values: NDArray[Any], target: TargetSchema) -> list[Problem]:
    """What is wrong with the shape of ``values``, [N] or [N, L], as quantities."""
    width = () if len(target.quantities) == 1 else (len(target.quantities),)
    if values.shape[1:] == width and values.dtype.kind in "biuf":
        return []
    what = f"holds {values.dtype} of shape {values.shape}, and the schema has {len(target.quantities)} quantities."
    return [Problem(where, what, "Give one number a quantity and sample.")]
