"""Finds, loads and checks the data sets that an experiment names."""

from __future__ import annotations

from pathlib import Path

from simulator.core.errors import InputError, wrong
from simulator.core.paths import located
from simulator.core.registry import PartSettings
from simulator.data.dataset import DATASETS, ImageData


def load(dataset: PartSettings, root: Path, where: str) -> ImageData:
    """The data set that ``dataset`` describes, from the data root ``root``.

    Raises:
        InputError: it cannot be loaded or its arrays do not fit together; placed under the setting ``where``.
    """
    folder = located(root, where="data.root")
    try:
        part = DATASETS.build(dataset)
        data = part.load(folder)
        data.validate()
    except InputError as error:
        raise error.under(where) from error
    return data


def load_private(dataset: PartSettings, root: Path) -> ImageData:
    """The data set that nodes train on.

    Raises:
        InputError: as `load`, or it has no labels or no test set.
    """
    data = load(dataset, root, "data.dataset")
    missing = [name for name in ("y_train", "x_test", "y_test") if getattr(data, name) is None]
    if missing:
        what = f"'{dataset.name}' cannot be the private data set: it has no {', '.join(missing)}."
        raise wrong("data.dataset", what, "Take a labelled data set with a test set; list this one under data.public.")
    return data
