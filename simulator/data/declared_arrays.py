"""The arrays of one site's ``.npz`` file, which must be what a schema declares: nothing is recognised by its values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import InputError, Problem
from simulator.data.archives import Archive, inputs_of, tokens
from simulator.data.dataset import ArrayData
from simulator.data.kinds.kind import StoredArrays
from simulator.data.sites.coding import check_quantities, classes_of
from simulator.data.sites.schema import ArraySchema, DataSchema, ImageSchema, TokenSchema
from simulator.data.stored import named
from simulator.data.tabular.frames import label


def read_site(arrays: Archive, schema: DataSchema) -> ArrayData:
    """What one site holds.

    Raises:
        InputError: with every array that is missing, or of another type or shape than is declared.
    """
    splits = ["train", *(["test"] if inputs_of(arrays, "x_test") is not None else [])]
    inputs = {split: _inputs(arrays, split, schema) for split in splits}
    problems = [problem for split in splits for problem in _misshapen(f"x_{split}", inputs[split], schema)]
    targets = dict[str, NDArray[Any]]()
    for split in splits:
        targets[split], found = _targets(f"y_{split}", arrays.get(f"y_{split}"), schema)
        problems += found
    if problems:
        raise InputError(*problems)
    groups = arrays.get("group_train")
    return ArrayData(
        x_train=inputs["train"],
        y_train=targets["train"],
        x_test=inputs.get("test"),
        y_test=targets.get("test"),
        class_names=schema.target.names,
        kind=schema.input_kind(),
        groups=None if groups is None else np.unique(groups, return_inverse=True)[1].astype(np.int64),
    )


def _inputs(arrays: Archive, split: str, schema: DataSchema) -> StoredArrays:
    found = inputs_of(arrays, f"x_{split}")
    assert found is not None  # without it, the file could not be read
    if isinstance(schema, TokenSchema):
        return tokens(found, arrays, split)
    if isinstance(schema, ImageSchema) and isinstance(found, np.ndarray) and found.ndim == 3:
        return found[..., None]  # gray
    return found


def _misshapen(name: str, inputs: StoredArrays, schema: DataSchema) -> Iterator[Problem]:
    wanted = {part: (shape, dtype) for part, shape, dtype in _declared(schema)}
    there = dict(named(inputs))
    if there.keys() != wanted.keys():
        said = ", ".join(part or "one array" for part in there)
        yield Problem(name, f"holds {said}, and the schema {', '.join(part or 'one array' for part in wanted)}.")
        return
    for part, array in there.items():
        shape, dtypes = wanted[part]
        if array.shape[1:] != shape or array.dtype.name not in dtypes:
            what = f"is {array.dtype} of shape {array.shape}, and the schema has {dtypes[0]} of shape [samples, "
            where = f"{name}_{part}" if part and not isinstance(schema, TokenSchema) else name
            yield Problem(where, f"{what}{', '.join(map(str, shape))}].", "Convert it before you save it.")


def _declared(schema: DataSchema) -> Iterator[tuple[str, tuple[int, ...], tuple[str, ...]]]:
    """Name, shape and types of each array."""
    if isinstance(schema, ImageSchema):
        yield "", (schema.height, schema.width, schema.channels), ("uint8",)
    elif isinstance(schema, ArraySchema):
        yield from ((part.name, part.shape, (part.dtype,)) for part in schema.arrays)
    elif isinstance(schema, TokenSchema):
        yield "ids", (schema.length,), ("int64", "int32", "uint16")
        yield "lengths", (), ("int32",)


def _targets(name: str, values: NDArray[Any] | None, schema: DataSchema) -> tuple[NDArray[Any], list[Problem]]:
    nothing = np.zeros(0, dtype=np.int64)
    if values is None:
        return nothing, [Problem("", f"there is no array {name}.", "Give each sample its target.")]
    if schema.target.quantities:
        problems = check_quantities(name, values, schema.target)
        return (nothing if problems else values.astype(np.float32)), problems
    if values.ndim != 1 or values.dtype.kind not in "biuU":
        what = f"is {values.dtype} of shape {values.shape}, and no labels."
        return nothing, [Problem(name, what, "Give one whole number or text a sample, as the schema names classes.")]
    return classes_of(name, [label(each) for each in values.tolist()], schema.target)
