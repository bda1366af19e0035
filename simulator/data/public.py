"""The public set: samples that every node has, in one order and in the shape of the private data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.core.arrays import Arrays
from simulator.core.errors import wrong
from simulator.core.seeding import generator
from simulator.data.conform import conform
from simulator.data.dataset import ArrayData
from simulator.data.kinds.images import Images
from simulator.data.kinds.kind import StoredArrays
from simulator.data.loading import load
from simulator.data.settings import DataSettings, PublicSource
from simulator.data.stored import joined, rows_of, same, shapes, size, to_tensors

UNKNOWN = -1
Drawn = Sequence[tuple[ArrayData, NDArray[np.int64]]]


@dataclass(frozen=True)
class PublicSet:
    """Public samples of all sources, shuffled together.

    Attributes:
        inputs: of P samples, as the private data set's are stored.
        labels: int64 [P], the true class, or -1 for images of another data set.
        in_distribution: bool [P], whether the image comes from the private data set.
        source: int64 [P], which of the sources.
        index: int64 [P], the row in that source's training images.
    """

    inputs: Arrays
    labels: NDArray[np.int64]
    in_distribution: NDArray[np.bool_]
    source: NDArray[np.int64]
    index: NDArray[np.int64]


def draw(settings: DataSettings, private: ArrayData, seed: int) -> Drawn:
    """Draw the public images of every source, none of them twice.

    Returns:
        For each source its data, which is ``private`` itself where the images are the same, and the rows (int64) drawn
        from its training images.

    Raises:
        InputError: a source cannot be loaded or converted, has too few images, or is the private data set and would be
            used up.
    """
    drawn: list[tuple[ArrayData, NDArray[np.int64]]] = []
    for number, source in enumerate(settings.public):
        where = f"data.public[{number}]"
        is_private = source.dataset == settings.dataset
        data = private if is_private else load(source.dataset, settings.root, f"{where}.dataset")
        if same(data.x_train, private.x_train):  # other settings may lead to the same samples
            data = private
        _require_alike(f"{where}.dataset", source, data, private)
        taken = [row for other, rows in drawn if other is data for row in rows]
        free = np.setdiff1d(np.arange(size(data.x_train)), taken)
        _require_room(f"{where}.samples", source, len(free), data is private)
        rng = generator(seed, f"data.public.{source.dataset.name}")
        drawn.append((data, rng.choice(free, source.samples, replace=False)))
    return drawn


def assemble(private: ArrayData, drawn: Drawn, seed: int) -> PublicSet:
    """Bring the rows drawn from all sources into the private images' shape and into one random order.

    Args:
        private: the data set that the nodes train on.
        drawn: what `draw` returned.
        seed: the experiment's seed.
    """
    pieces = [rows_of(private.x_train, np.arange(0)), *(_conformed(data, rows, private) for data, rows in drawn)]
    order = generator(seed, "data.public.order").permutation(sum(map(size, pieces)))
    index = _join(rows for _, rows in drawn)[order]
    source = _join(np.full(len(rows), number) for number, (_, rows) in enumerate(drawn))[order]
    in_distribution = np.array([data is private for data, _ in drawn], dtype=np.bool_)[source]
    labels = np.full(len(index), UNKNOWN)
    if private.y_train is not None and private.y_train.ndim == 1:
        labels[in_distribution] = private.y_train[index[in_distribution]]
    return PublicSet(to_tensors(rows_of(joined(pieces), order)), labels, in_distribution, source, index)


def _conformed(data: ArrayData, rows: NDArray[np.int64], private: ArrayData) -> StoredArrays:
    """Of images in the private data set's shape; what is no picture has it already."""
    taken = rows_of(data.x_train, rows)
    if isinstance(taken, np.ndarray) and isinstance(private.x_train, np.ndarray) and data.kind == Images():
        return conform(taken, private.x_train.shape[1:])
    return taken


def _require_alike(where: str, source: PublicSource, data: ArrayData, private: ArrayData) -> None:
    """Gray and RGB pictures can be converted into each other; whatever else there is must be the same already."""
    same_shape = shapes(data.x_train) == shapes(private.x_train)
    if data.kind != private.kind or (data.kind != Images() and not same_shape):
        what = f"samples of '{source.dataset.name}' cannot be converted to those of the private data set."
        raise wrong(where, what, "Take a public set of the same kind, with the same settings of its views.")


def _require_room(where: str, source: PublicSource, free: int, is_private: bool) -> None:
    asked = f"{source.samples} public samples are asked for"
    if source.samples > free:
        what = f"{asked}, but '{source.dataset.name}' has {free} training images to draw from."
        raise wrong(where, what, f"Ask for {free} at most.")
    if is_private and source.samples == free:
        advice = "Ask for fewer: what is public is taken out of the nodes' private data."
        raise wrong(where, f"{asked}: all training images of the private data set.", advice)


def _join(pieces: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate([np.empty(0, dtype=np.int64), *pieces])
