"""Finds, loads and checks the data sets that an experiment names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from simulator.core.errors import InputError, wrong
from simulator.core.paths import located
from simulator.core.registry import PartSettings
from simulator.core.seeding import drawn_from, global_states
from simulator.data.alike import told_alike
from simulator.data.class_counts import told_classes
from simulator.data.dataset import DATASETS, ArrayData


def load(dataset: PartSettings, root: Path, where: str) -> ArrayData:
    """The data set that ``dataset`` describes, from the data root ``root``.

    Raises:
        InputError: it cannot be loaded or its arrays do not fit together; placed under the setting ``where``.
    """
    folder = located(root, where="data.root")
    try:
        part, before = DATASETS.build(dataset), global_states()
        data = part.load(folder)
        drawn = drawn_from(before)
        data.validate()
    except InputError as error:
        raise error.under(where) from error
    return replace(data, notes=(*data.notes, *told_alike(data), *_told_draws(dataset, drawn)))


def _told_draws(dataset: PartSettings, drawn: Sequence[str]) -> Iterator[str]:
    for name in drawn:
        what = f"'{dataset.name}' draws from the global generator of {name}: the next run may have other samples"
        yield f"{what}, unless it seeds a generator of its own"


def load_private(dataset: PartSettings, root: Path, *, needs_test: bool = True) -> ArrayData:
    """The data set that nodes train on.

    Raises:
        InputError: as `load`, or it has no labels or no test set, where it ``needs_test``.
    """
    data = load(dataset, root, "data.dataset")
    needed = ("y_train", "x_test", "y_test") if needs_test else ("y_train",)
    missing = [name for name in needed if getattr(data, name) is None]
    if missing:
        told = "".join(f"; {note}" for note in data.notes)  # how it was read may be why
        what = f"'{dataset.name}' cannot be the private data set: it has no {', '.join(missing)}{told}."
        advice = "Take a labelled data set with a test set; list this one under data.public."
        if missing == ["x_test", "y_test"]:
            advice = "Take one with a test set, or let each node be tested on a share of its own: data.test: own."
        raise wrong("data.dataset", what, advice)
    tested = needs_test or data.test_sites is not None  # by sites, which have brought them
    return replace(data, notes=(*data.notes, *told_classes(data, tested)))
