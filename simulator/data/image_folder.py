"""The data set ``image_folder``: image files in folders, one a class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from simulator.core.capacity import check_memory
from simulator.core.errors import InputError, Problem, did_you_mean, wrong
from simulator.core.paths import folder_at
from simulator.core.registry import PartSettings
from simulator.data.dataset import ArrayData, Dataset
from simulator.data.image_tree import left_out, passed_over, pictures, test_classes, training_classes
from simulator.data.pictures import read_picture
from simulator.data.sites.schema import DataSchema, ImageSchema
from simulator.data.sites.settled import of_kind, settled

_LAYOUTS = "Expected train/<class>/*.jpg, <class>/*.jpg, or *.jpg without classes (or .png, .tif, .webp, ...)."


class ImageFolder(Dataset):
    """Image files in folders, resized to RGB squares (the whole image: other aspect ratios are squeezed).

    Training images lie in ``train``, or in the folder itself where it has no ``train``. Each subfolder that holds
    images, at any depth, is a class; without such subfolders the images directly inside are taken as an unlabelled set.
    The test set is ``test`` or ``val``, the first one whose subfolders are classes of the training set (so
    Tiny-ImageNet's ``val/images`` does not count). Hidden files and folders are ignored, and so are files of other
    kinds; how many is told.
    """

    class Config(PartSettings):
        """Where the folders of classes are, and what size images are brought to.

        Attributes:
            path: the folder, absolute or relative to the data root.
            size: height and width in pixels that images are resized to: larger ones are averaged, smaller ones
                interpolated.
            sites: whether each folder in it is a site, with such a tree of its own.
        """

        name: str = "image_folder"
        path: Path
        size: int = Field(default=32, ge=1)
        sites: bool = False

    config: Config

    site_suffixes: ClassVar[tuple[str, ...] | None] = ()

    def load(self, root: Path) -> ArrayData:
        """Read and resize every image, sorted by path.

        Raises:
            InputError: there is no such folder, it holds no images, what are classes is not clear, or an image cannot
                be read.
        """
        folder = folder_at(self.config.path, root)
        trees = _site_folders(folder) if self.config.sites else [folder]
        found = [training_classes(tree) for tree in trees]
        classes = tuple(sorted({name for tree in found for name in tree}))
        train = [_training(tree, by_class, classes) for tree, by_class in zip(trees, found, strict=True)]
        test = [_labelled(test_classes(tree, classes), classes) for tree in trees]
        all_train, all_test = [each for part in train for each in part], [each for part in test for each in part]
        lost: Counter[str] = Counter()
        return ArrayData(
            x_train=self._read(all_train, lost),
            y_train=_labels(all_train) if classes else None,
            x_test=self._read(all_test, lost) if all_test else None,
            y_test=_labels(all_test) if all_test else None,
            class_names=classes,
            sites=_numbers(train) if self.config.sites else None,
            test_sites=_numbers(test) if self.config.sites and all_test else None,
            site_names=tuple(tree.name for tree in trees) if self.config.sites else (),
            notes=(
                *left_out(folder, [path for path, _ in (*all_train, *all_test)]),
                *(f"{tree.name}: {note}" for tree in trees for note in passed_over(tree, classes)),
                *(f"{folder.name}: {count:,} images are {how}" for how, count in sorted(lost.items())),
            ),
        )

    def of_site(self, path: Path, schema: DataSchema) -> ArrayData:
        """Read one site's tree, whose classes are among those declared; it need not have all of them.

        Raises:
            InputError: there are other classes, or an image cannot be read.
        """
        if not path.is_dir():
            raise wrong("", f"{path} is no folder.", _LAYOUTS)
        classes, found = schema.target.classes, training_classes(path)
        if strange := sorted(found.keys() - set(classes)):
            advice = did_you_mean(strange[0], list(classes), "classes")
            raise InputError(*(Problem(path.name, f"there is no class '{name}'.", advice) for name in strange))
        if not found:
            raise wrong(path.name, "there are no images in folders of classes.", _LAYOUTS)
        train, test = _labelled(found, classes), _labelled(test_classes(path, classes), classes)
        lost: Counter[str] = Counter()
        return ArrayData(
            x_train=self._read(train, lost),
            y_train=_labels(train),
            x_test=self._read(test, lost) if test else None,
            y_test=_labels(test) if test else None,
            class_names=classes,
            kind=schema.input_kind(),
            notes=(
                *left_out(path, [file for file, _ in (*train, *test)]),
                *(f"{path.name}: {note}" for note in passed_over(path, classes)),
                *(f"{path.name}: {count:,} images are {how}" for how, count in sorted(lost.items())),
            ),
        )

    @classmethod
    def site_problems(cls, config: PartSettings, schema: DataSchema) -> Iterator[Problem]:
        """Images of another size than the schema's."""
        assert isinstance(config, cls.Config)
        yield from of_kind(config, schema, ["images"])
        yield from settled(config, ("sites",))
        if isinstance(schema, ImageSchema):
            if (schema.height, schema.width, schema.channels) != (config.size, config.size, 3):
                what = f"is {config.size}, and the schema has {schema.height}x{schema.width}x{schema.channels}."
                yield Problem(
                    "size", what, f"This data set gives {config.size}x{config.size}x3: let both say the same."
                )
            if not schema.target.classes:
                yield Problem("", "folders are classes, and the schema's target is quantities.", "Declare classes.")

    def _read(self, files: list[tuple[Path, int]], lost: Counter[str]) -> NDArray[np.uint8]:
        """The pixels of all; ``lost`` counts what could not be kept."""
        size = self.config.size
        needed = 3 * len(files) * size**2
        check_memory(needed, f"{len(files):,} images of {size}x{size}", "Set size to less.", "size")
        pixels = np.empty((len(files), size, size, 3), dtype=np.uint8)
        for row, (path, _) in zip(pixels, files, strict=True):
            row[:], how = read_picture(path, size)
            lost.update([how] if how else [])
        return pixels


def _site_folders(folder: Path) -> list[Path]:
    found = sorted(each for each in folder.iterdir() if each.is_dir() and each.name[0] not in "._")
    if not found:
        raise wrong("sites", f"{folder} holds no folders.", "Give each site a folder in it.")
    return found


def _training(tree: Path, by_class: dict[str, list[Path]], classes: tuple[str, ...]) -> list[tuple[Path, int]]:
    """The training images of a tree and their classes; there are some."""
    source = tree / "train" if (tree / "train").is_dir() else tree
    images = _labelled(by_class, classes) if classes else [(path, 0) for path in pictures(source.iterdir(), source)]
    if not images:
        kinds = Counter(path.suffix.lower() for path in source.rglob("*") if path.is_file() and path.suffix)
        others = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common(5))
        raise wrong("path", f"{source} holds no images{f' that are read, but {others}' if others else ''}.", _LAYOUTS)
    return images


def _numbers(by_site: list[list[tuple[Path, int]]]) -> NDArray[np.int64]:
    return np.repeat(np.arange(len(by_site)), [len(images) for images in by_site])


def _labelled(by_class: dict[str, list[Path]], classes: tuple[str, ...]) -> list[tuple[Path, int]]:
    return [(path, classes.index(name)) for name, images in by_class.items() for path in images]


def _labels(files: list[tuple[Path, int]]) -> NDArray[np.int64]:
    return np.array([label for _, label in files], dtype=np.int64)
