"""The data set ``npz``: arrays in NumPy's ``.npz`` files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from simulator.core.acting import Acts, If
from simulator.core.errors import Problem, wrong
from simulator.core.registry import PartSettings
from simulator.data import locations
from simulator.data.archives import OTHER_LABELS, Archive, ignored, inputs_of, joined, read, tokens
from simulator.data.dataset import ArrayData, Dataset
from simulator.data.declared_arrays import read_site
from simulator.data.kinds.kind import InputKind, StoredArrays
from simulator.data.kinds.recognition import Recognised, Wanted, recognised
from simulator.data.kinds.tokens import Tokens
from simulator.data.label_table import LabelTable
from simulator.data.sites.schema import DataSchema
from simulator.data.sites.settled import of_kind, settled
from simulator.data.targets import read_targets, shortened


class Npz(Dataset):
    """Arrays ``x_train``, ``y_train``, ``x_test``, ``y_test`` of a NumPy ``.npz`` file, or of several: each is a site.

    Images are uint8, [N, height, width] or [N, height, width, channels]; floats from 0 to 1 or from 0 to 255 of such a
    shape with 1 or 3 channels are recognised as images, which is told. Other numbers, of any shape, networks are given
    as they are; ``x_train_NAME`` are several inputs by name. With a ``vocabulary``, ``x_train`` is tokens, and
    ``lengths_train`` says how many of each row are no padding.

    Labels are whole numbers from 0 on (where some do not occur, the others are classes in their order, which is told),
    text, or one-hot rows, which is told; fractions are quantities. ``x_train`` alone is enough for a public set.
    ``y_train_NAME`` are other labels that the training samples have been given, such as noisy ones. ``site_train`` and
    ``site_test`` say where samples come from, ``group_train`` and ``group_test`` which belong together. What else the
    file holds is ignored, which is told.
    """

    class Config(PartSettings):
        """Where the arrays are.

        Attributes:
            path: the file, absolute or relative to the data root; or several files, or a folder of them, one a site.
            kind: "images" takes 3 dimensions of any numbers for gray images, "arrays" nothing for an image.
            vocabulary: how many tokens there are, padding among them, where ``x_train`` is tokens.
        """

        acts: ClassVar[Acts] = {"kind": If(vocabulary=None)}

        name: str = "npz"
        path: Path | tuple[Path, ...]
        kind: Wanted = "auto"
        vocabulary: int | None = Field(default=None, ge=1)

    config: Config

    site_suffixes: ClassVar[tuple[str, ...] | None] = (".npz",)

    def load(self, root: Path) -> ArrayData:
        """Read the arrays. Classes are the labels that occur in ``y_train`` or ``y_test``, in ascending order.

        Raises:
            InputError: there is no such file, it is not an ``.npz``, it does not fit into memory, ``x_train`` is
                missing, labels are negative or far too many, or arrays are of objects.
        """
        files = locations.files(self.config.path, root, (".npz",))
        arrays = joined({file.stem: read(file) for file in files}) if len(files) > 1 else read(files[0])
        name = files[0].name if len(files) == 1 else f"{len(files)} files"
        x_train, x_test = inputs_of(arrays, "x_train"), inputs_of(arrays, "x_test")
        assert x_train is not None  # without it, the file could not be read
        found = self._found(x_train, x_test, arrays)
        labels, classes, told = _labels(arrays)
        groups, sites = _numbered(arrays, "group"), _numbered(arrays, "site")
        return ArrayData(
            x_train=found.inputs[0],
            y_train=labels.get("y_train"),
            x_test=None if x_test is None else found.inputs[1],
            y_test=labels.get("y_test"),
            class_names=classes,
            other_labels={key[len(OTHER_LABELS) :]: labels[key] for key in labels if key.startswith(OTHER_LABELS)},
            kind=found.kind,
            groups=groups[1],
            sites=sites[1],
            test_sites=sites[2],
            site_names=sites[0],
            notes=tuple(f"{name}: {note}" for note in (*found.notes, *told, *_ignored(files))),
        )

    def of_site(self, path: Path, schema: DataSchema) -> ArrayData:
        """Read one site's arrays, which have the declared types and shapes already.

        Raises:
            InputError: they have others, or labels are no declared classes.
        """
        files = locations.files(path, Path(), (".npz",))
        return read_site(
            joined({file.stem: read(file) for file in files}) if len(files) > 1 else read(files[0]), schema
        )

    @classmethod
    def site_problems(cls, config: PartSettings, schema: DataSchema) -> Iterator[Problem]:
        """What the schema decides."""
        assert isinstance(config, cls.Config)
        yield from of_kind(config, schema, ["images", "arrays", "tokens"])
        yield from settled(config, ("kind", "vocabulary"))

    def _found(self, x_train: StoredArrays, x_test: StoredArrays | None, arrays: Archive) -> Recognised:
        inputs = [x_train] if x_test is None else [x_train, x_test]
        if self.config.vocabulary is None:
            return recognised("x_train", *inputs, wanted=self.config.kind)
        kind: InputKind = Tokens(self.config.vocabulary)
        splits = ("train", "test")[: len(inputs)]
        return Recognised(tuple(tokens(each, arrays, split) for each, split in zip(inputs, splits, strict=True)), kind)


def _ignored(files: Sequence[Path]) -> Iterator[str]:
    if names := ignored(files):
        yield f"arrays that mean nothing here are ignored: {shortened(names)}"


def _labels(arrays: Archive) -> tuple[dict[str, NDArray[Any]], tuple[str, ...], tuple[str, ...]]:
    """Labels and other labels by the arrays' names, the names of the classes, and how labels became them."""
    given = {name: arrays[name] for name in ("y_train", "y_test") if name in arrays}
    others = {name: array for name, array in arrays.items() if name.startswith(OTHER_LABELS)}
    if all(array.ndim == 1 and array.dtype.kind in "iu" for array in given.values()):
        table = LabelTable.of(given)
        return {name: table.classes(array) for name, array in (given | others).items()}, table.names, (*table.notes(),)
    if others:
        what = f"there is {min(others)}, and y_train is no whole numbers."
        raise wrong("path", what, "Number the classes, in y_train and in other labels alike.")
    shapes = {array.shape[1:] for array in given.values()}
    if len(shapes) > 1 or len({array.dtype.kind for array in given.values()}) > 1:
        said = " and ".join(f"{name} is {array.dtype} of shape {array.shape}" for name, array in given.items())
        raise wrong("path", f"{said}.", "Give both targets of one kind.")
    together = read_targets("y_train", np.concatenate(list(given.values())))
    ends = np.cumsum([len(array) for array in given.values()])[:-1]
    return dict(zip(given, np.split(together.values, ends), strict=True)), together.names, together.notes


def _numbered(arrays: Archive, name: str) -> tuple[tuple[str, ...], NDArray[np.int64] | None, NDArray[np.int64] | None]:
    """The names of what ``name_train`` and ``name_test`` say of samples, and both as numbers of these names."""
    train, test = arrays.get(f"{name}_train"), arrays.get(f"{name}_test")
    if train is None:
        return (), None, None
    if train.dtype.kind not in "iuUb":
        raise wrong("path", f"{name}_train is {train.dtype}.", "Give whole numbers or text, one a sample.")
    both = train if test is None else np.concatenate([train, test])
    names, numbers = np.unique(both, return_inverse=True)
    if name == "group" and test is not None and (shared := np.intersect1d(train, test)).size:
        what = f"{len(shared):,} groups have samples to train on and to test with, such as {shared[0]}."
        raise wrong("path", what, "Move each group to one side.")
    numbers = numbers.astype(np.int64)
    return tuple(map(str, names.tolist())), numbers[: len(train)], None if test is None else numbers[len(train) :]
