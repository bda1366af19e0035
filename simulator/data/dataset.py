"""What a data set is: inputs and targets in memory, and the part that loads them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch.utils.data
from numpy.typing import NDArray

from simulator.core.errors import Problem, wrong
from simulator.core.registry import Part, PartSettings, Registry
from simulator.data.kinds.images import Images
from simulator.data.kinds.kind import InputKind, StoredArrays
from simulator.data.stored import named, shapes

if TYPE_CHECKING:
    from simulator.data.sites.schema import DataSchema


@dataclass(frozen=True)
class ArrayData:
    """A data set in memory.

    Attributes:
        x_train: the inputs, samples first, as ``kind`` says: one array, or several by name.
        y_train: the targets, samples first: classes are int64 [N], and quantities float32 [N] or [N, L]; other shapes
            are the task's. None for an unlabelled data set, which can serve as a public set only.
        x_test: as ``x_train``, or None.
        y_test: as ``y_train``, or None.
        class_names: one name a class, in the order of the labels, or one a column of targets; empty for an unlabelled
            data set.
        other_labels: other labels that the training samples have been given, by name; checked where they are used.
        kind: what the inputs are.
        groups: int64 [N], of training samples: those with the same number belong together (they are of one patient, or
            cut from one document), and nothing divides them. None: every sample is its own.
        sites: int64 [N], of training samples: where each comes from, counted in ``site_names``; None: it is not known.
        test_sites: int64 [M], of test samples likewise.
        site_names: one name a site.
        notes: what the user should know about how the data were read.
    """

    x_train: StoredArrays
    y_train: NDArray[Any] | None
    x_test: StoredArrays | None
    y_test: NDArray[Any] | None
    class_names: tuple[str, ...]
    other_labels: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    kind: InputKind = field(default_factory=Images)
    groups: NDArray[np.int64] | None = None
    sites: NDArray[np.int64] | None = None
    test_sites: NDArray[np.int64] | None = None
    site_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def num_classes(self) -> int:
        """Number of classes; 0 for an unlabelled data set."""
        return len(self.class_names)

    def validate(self) -> None:
        """Check that the arrays fit together.

        Raises:
            InputError: an array of a wrong type or shape, targets that do not pair up with samples, or classes outside
                0..C-1.
        """
        samples = _checked("x_train", self.x_train, self.kind)
        tested = 0 if self.x_test is None else _checked("x_test", self.x_test, self.kind)
        if self.x_test is not None:
            train, test = _shapes(self.x_train), _shapes(self.x_test)
            if train != test:
                raise wrong("", f"x_train has samples of {train}, but x_test of {test}.", "Give both the same shape.")
        _check_targets("train", samples, self.y_train, self.num_classes)
        _check_targets("test", tested, self.y_test, self.num_classes)
        if self.y_train is not None and self.y_test is not None and self.y_train.shape[1:] != self.y_test.shape[1:]:
            what = f"y_test has shape {self.y_test.shape}, and y_train {self.y_train.shape}."
            raise wrong("", what, "Give both targets of one kind.")
        for name, numbers, size in (
            ("groups", self.groups, samples),
            ("sites", self.sites, samples),
            ("test_sites", self.test_sites, tested),
        ):
            if numbers is not None and (numbers.dtype != np.int64 or numbers.shape != (size,)):
                what = f"{name} is {numbers.dtype} of shape {numbers.shape}, for {size} samples."
                raise wrong("", what, "Give one int64 a sample.")


class Dataset(Part, ABC):
    """A data set chosen by name.

    Attributes:
        site_suffixes: how the name of a site's file may end, where the data can be read site by site; a site may have a
            folder instead. None: they are read all at once.
    """

    site_suffixes: ClassVar[tuple[str, ...] | None] = None

    @abstractmethod
    def load(self, root: Path) -> ArrayData:
        """Read the data into memory.

        Args:
            root: the folder that data sets lie in.

        Raises:
            InputError: the data is not there or cannot be read.
        """

    def of_site(self, path: Path, schema: DataSchema) -> ArrayData:
        """Read the data of one site, as ``schema`` declares them; called where there are ``site_suffixes``.

        What a sample becomes depends on that sample and the schema alone.

        Args:
            path: the site's file or folder.
            schema: one that `site_problems` has nothing against.

        Raises:
            InputError: the data cannot be read, or are not what the schema says: every problem at once.
        """
        raise NotImplementedError

    @classmethod
    def site_problems(cls, config: PartSettings, schema: DataSchema) -> Iterator[Problem]:
        """What of the settings does not go with reading site by site, and what of ``schema``; by setting."""
        yield from ()


class DatasetRegistry(Registry[Dataset]):
    """Data sets, and classes of PyTorch's data sets in the place of such; see `simulator.data.torch_dataset`."""

    or_else: ClassVar[str] = ", or from torch.utils.data.Dataset"

    def as_part(self, thing: Any) -> Any:
        """``thing``, or the data set that reads its items if it is a class of PyTorch's data sets."""
        if not (isinstance(thing, type) and issubclass(thing, torch.utils.data.Dataset)):
            return thing
        from simulator.data.torch_dataset import dataset_of  # which itself is a data set

        return dataset_of(thing)  # type: ignore[arg-type]  # classes are hashable


DATASETS: Registry[Dataset] = DatasetRegistry("datasets")


def shape_text(shape: tuple[int, ...]) -> str:
    """Height, width and channels, as in ``32x32x3``."""
    return "x".join(map(str, shape))


def _checked(name: str, inputs: StoredArrays, kind: InputKind) -> int:
    """How many samples there are, of inputs that are of this kind."""
    kind.check(name, inputs)
    lengths = {len(array) for _, array in named(inputs)}
    if len(lengths) > 1:
        what = f"the arrays of {name} have {' and '.join(map(str, sorted(lengths)))} samples."
        raise wrong("", what, "Give all of them the same samples, in the same order.")
    return lengths.pop()


def _shapes(inputs: StoredArrays) -> str:
    return ", ".join(f"{name} {shape_text(shape)}".strip() for name, shape in shapes(inputs).items())


def _check_targets(split: str, count: int, targets: NDArray[Any] | None, classes: int) -> None:
    if targets is None:
        return
    name = f"y_{split}"
    if targets.dtype not in (np.int64, np.float32):
        what = f"{name} has type {targets.dtype}, not int64."
        raise wrong("", what, "Labels are whole numbers from 0 on; quantities are float32.")
    if targets.ndim == 0 or len(targets) != count:
        what = f"{name} has shape {targets.shape}, but x_{split} has {count} samples."
        raise wrong("", what, "Give one label a sample.")
    if targets.dtype == np.int64 and targets.ndim == 1 and (targets.min() < 0 or targets.max() >= classes):
        what = f"{name} runs from {targets.min()} to {targets.max()}, but there are {classes} classes."
        raise wrong("", what, f"Labels run from 0 to {classes - 1}.")
