"""Data sets from the user's own files: a folder of images, or arrays in an ``.npz`` file."""

from __future__ import annotations

import zlib
from collections import Counter
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, is_zipfile

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from simulator.core.capacity import check_memory
from simulator.core.errors import wrong
from simulator.core.paths import located
from simulator.core.registry import PartSettings
from simulator.data.dataset import Dataset, ImageData
from simulator.data.image_tree import left_out, pictures, test_classes, training_classes
from simulator.data.label_table import LabelTable
from simulator.data.pictures import read_picture

_ARRAYS = ("x_train", "x_test", "y_train", "y_test")
_OTHER_LABELS = "y_train_"
_HOW_TO_SAVE = "Save it with numpy.savez(path, x_train=..., y_train=..., x_test=..., y_test=...)."
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
        """

        name: str = "image_folder"
        path: Path
        size: int = Field(default=32, ge=1)

    config: Config

    def load(self, root: Path) -> ImageData:
        """Read and resize every image, sorted by path.

        Raises:
            InputError: there is no such folder, it holds no images, what are classes is not clear, or an image cannot
                be read.
        """
        folder = located(self.config.path, root)
        if not folder.is_dir():
            raise wrong("path", f"there is no folder {folder}.", "Give an absolute path or one relative to data.root.")
        source = folder / "train" if (folder / "train").is_dir() else folder
        found = training_classes(folder)
        classes = tuple(found)
        train = _labelled(found, classes) if classes else [(path, 0) for path in pictures(source.iterdir(), source)]
        if not train:
            raise wrong("path", f"{source} holds no images.", _LAYOUTS)
        test = _labelled(test_classes(folder, classes), classes)
        lost: Counter[str] = Counter()
        return ImageData(
            x_train=self._read(train, lost),
            y_train=_labels(train) if classes else None,
            x_test=self._read(test, lost) if test else None,
            y_test=_labels(test) if test else None,
            class_names=classes,
            notes=(
                *left_out(folder, [path for path, _ in (*train, *test)]),
                *(f"{folder.name}: {count:,} images are {how}" for how, count in sorted(lost.items())),
            ),
        )

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


class Npz(Dataset):
    """Arrays ``x_train``, ``y_train``, ``x_test``, ``y_test`` of a NumPy ``.npz`` file.

    Images are uint8, [N, height, width] or [N, height, width, channels]; labels are whole numbers from 0 on, and where
    some do not occur, the others are classes in their order, which is told.
    ``x_train`` alone is enough for a public set. ``y_train_NAME`` are other labels that the training images have been
    given, such as noisy ones; what else the file holds is ignored.
    """

    class Config(PartSettings):
        """Where the arrays are.

        Attributes:
            path: the file, absolute or relative to the data root.
        """

        name: str = "npz"
        path: Path

    config: Config

    def load(self, root: Path) -> ImageData:
        """Read the arrays. Classes are the labels that occur in ``y_train`` or ``y_test``, in ascending order.

        Raises:
            InputError: there is no such file, it is not an ``.npz``, it does not fit into memory, ``x_train`` is
                missing, or labels are negative or far too many.
        """
        path = located(self.config.path, root)
        if not path.is_file():
            raise wrong("path", f"there is no file {path}.", "Give an absolute path or one relative to data.root.")
        arrays = _read_npz(path)
        x_test, y_train, y_test = (arrays.get(name) for name in _ARRAYS[1:])
        table = LabelTable.of({name: arrays[name] for name in ("y_train", "y_test") if name in arrays})
        return ImageData(
            x_train=_with_channels(arrays["x_train"]),
            y_train=None if y_train is None else table.classes(y_train),
            x_test=None if x_test is None else _with_channels(x_test),
            y_test=None if y_test is None else table.classes(y_test),
            class_names=table.names,
            other_labels={
                name.removeprefix(_OTHER_LABELS): table.classes(labels)
                for name, labels in arrays.items()
                if name.startswith(_OTHER_LABELS)
            },
            notes=tuple(f"{path.name}: {note}" for note in table.notes()),
        )


def _labelled(by_class: dict[str, list[Path]], classes: tuple[str, ...]) -> list[tuple[Path, int]]:
    return [(path, classes.index(name)) for name, images in by_class.items() for path in images]


def _labels(files: list[tuple[Path, int]]) -> NDArray[np.int64]:
    return np.array([label for _, label in files], dtype=np.int64)


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    if not is_zipfile(path):
        raise wrong("path", f"{path} is not an .npz file.", _HOW_TO_SAVE)
    try:
        with np.load(path, allow_pickle=False) as file:
            needed = sum(member.file_size for member in file.zip.infolist())
            check_memory(needed, f"{path}, unpacked,", "Keep fewer images in it.", "path")
            names = list(file)
            arrays = {name: file[name] for name in names if name in _ARRAYS or name.startswith(_OTHER_LABELS)}
    except (OSError, EOFError, ValueError, MemoryError, NotImplementedError, BadZipFile, zlib.error) as error:
        raise wrong("path", f"{path} cannot be read: {error}.", _HOW_TO_SAVE) from error
    if "x_train" not in arrays:
        raise wrong("path", f"{path} has no array x_train; it holds {', '.join(names) or 'nothing'}.", _HOW_TO_SAVE)
    return arrays


def _with_channels(images: NDArray[Any]) -> NDArray[Any]:
    return images[..., None] if images.ndim == 3 else images
