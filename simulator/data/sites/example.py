"""A schema from example data: a draft for people to edit, and not what any site's data decide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from simulator.core.errors import wrong
from simulator.core.normalizer import Normalizer
from simulator.data.dataset import ArrayData
from simulator.data.kinds.images import Images
from simulator.data.kinds.plain import Plain
from simulator.data.kinds.table import CODES, Table, TablePreparation
from simulator.data.kinds.tokens import IDS, Tokens
from simulator.data.sites.schema import (
    ArrayPart,
    ArraySchema,
    Column,
    DataSchema,
    ImageSchema,
    TableSchema,
    TargetSchema,
    TokenSchema,
)
from simulator.data.stored import named, size
from simulator.data.tabular.frames import label

DIGITS = 6  # of statistics, that a person may read


def schema_of(data: ArrayData) -> DataSchema:
    """The schema that ``data`` would have, with the statistics of its training samples.

    Raises:
        InputError: it has no targets, or is of a kind that is not read site by site.
    """
    target, every = _target(data), np.arange(size(data.x_train))
    preparation = data.kind.preparation(data.x_train, every)
    if isinstance(data.kind, Table):
        assert isinstance(preparation, TablePreparation)
        return TableSchema(target=target, columns=tuple(_columns(data, data.kind, preparation)))
    if data.kind == Images() and isinstance(preparation, Normalizer):
        mean, std = (tuple(map(_rounded, each.tolist())) for each in (preparation.mean, preparation.std))
        height, width, channels = data.kind.specification(data.x_train).shape
        return ImageSchema(target=target, height=height, width=width, channels=channels, mean=mean, std=std)
    if isinstance(data.kind, Tokens):
        assert isinstance(data.x_train, Mapping)
        return TokenSchema(target=target, length=data.x_train[IDS].shape[1], vocabulary=data.kind.vocabulary)
    if isinstance(data.kind, Plain):
        parts = [ArrayPart(name=n, shape=a.shape[1:], dtype=a.dtype.name) for n, a in named(data.x_train)]
        return ArraySchema(target=target, arrays=tuple(parts))
    raise wrong("", "samples of this kind are not read site by site.", "Give tables, images, arrays or tokens.")


def undeclared(schema: DataSchema) -> DataSchema:
    """The ``schema`` without mean and standard deviation of anything."""
    nothing = {"mean": None, "std": None}
    if isinstance(schema, TableSchema):
        columns = tuple(column.model_copy(update=nothing) for column in schema.columns)
        return schema.model_copy(update={"columns": columns})
    return schema.model_copy(update=nothing) if isinstance(schema, ImageSchema) else schema


def _target(data: ArrayData) -> TargetSchema:
    if data.y_train is None:
        raise wrong("", "these data have no targets.", "Give examples with what is to be predicted.")
    names = tuple(map(label, data.class_names))
    if data.y_train.dtype == np.int64 and data.y_train.ndim == 1:
        return TargetSchema(classes=names)
    return TargetSchema(quantities=names)


def _columns(data: ArrayData, kind: Table, preparation: TablePreparation) -> list[Column]:
    assert isinstance(data.x_train, Mapping)
    numbers = [
        Column(name=name, mean=_rounded(mean), std=_rounded(std), may_miss=name in kind.may_miss)
        for name, mean, std in zip(kind.numbers, preparation.mean.tolist(), preparation.std.tolist(), strict=True)
    ]
    return numbers + [
        Column(name=name, categories=tuple(dict.fromkeys(map(label, known))), may_miss=_misses(codes, len(known)))
        for (name, known), codes in zip(kind.categories, data.x_train[CODES].T, strict=True)
    ]


def _misses(codes: Any, known: int) -> bool:
    return bool((codes == known + 1).any())


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
