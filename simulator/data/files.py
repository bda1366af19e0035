"""Data sets from the user's own files: a folder of images, or arrays in an ``.npz`` file."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, is_zipfile

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from simulator.core.errors import wrong
from simulator.core.registry import PartSettings
from simulator.data.dataset import Dataset, ImageData

_SUFFIXES = {".jpg", ".jpeg", ".png"}
_ARRAYS = ("x_train", "x_test", "y_train", "y_test")
_OTHER_LABELS = "y_train_"
_HOW_TO_SAVE = "Save it with numpy.savez(path, x_train=..., y_train=..., x_test=..., y_test=...)."
_LAYOUTS = "Expected train/<class>/*.jpg, <class>/*.jpg, or *.jpg without classes (or .jpeg, .png)."


class ImageFolder(Dataset):
    """Image files in folders, resized to RGB squares (the whole image: other aspect ratios are squeezed).

    Training images lie in ``train``, or in the folder itself where it has no ``train``. Each subfolder that holds
    images, at any depth, is a class; without such subfolders the images directly inside are taken as an unlabelled set.
    The test set is ``test`` or ``val``, the first one whose subfolders are classes of the training set (so
    Tiny-ImageNet's ``val/images`` does not count).
    """

    class Config(PartSettings):
        """Settings of `ImageFolder`.

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
            InputError: there is no such folder, it holds no images, or an image cannot be read.
        """
        folder = root / self.config.path.expanduser()
        if not folder.is_dir():
            raise wrong("path", f"there is no folder {folder}.", "Give an absolute path or one relative to data.root.")
        source = folder / "train" if (folder / "train").is_dir() else folder
        by_class = _by_class(source)
        classes = tuple(by_class)
        train = _labelled(by_class, classes) if classes else [(path, 0) for path in _images(source.iterdir())]
        if not train:
            raise wrong("path", f"{source} holds no images.", _LAYOUTS)
        test = _test_files(folder, classes)
        return ImageData(
            x_train=self._read(train),
            y_train=_labels(train) if classes else None,
            x_test=self._read(test) if test else None,
            y_test=_labels(test) if test else None,
            class_names=classes,
        )

    def _read(self, files: list[tuple[Path, int]]) -> NDArray[np.uint8]:
        size = self.config.size
        pixels = np.empty((len(files), size, size, 3), dtype=np.uint8)
        for row, (path, _) in zip(pixels, files, strict=True):
            row[:] = _read_image(path, size)
        return pixels


class Npz(Dataset):
    """Arrays ``x_train``, ``y_train``, ``x_test``, ``y_test`` of a NumPy ``.npz`` file.

    Images are uint8, [N, height, width] or [N, height, width, channels]; labels are whole numbers from 0 on.
    ``x_train`` alone is enough for a public set. ``y_train_NAME`` are other labels that the training images have been
    given, such as noisy ones; what else the file holds is ignored.
    """

    class Config(PartSettings):
        """Settings of `Npz`.

        Attributes:
            path: the file, absolute or relative to the data root.
        """

        name: str = "npz"
        path: Path

    config: Config

    def load(self, root: Path) -> ImageData:
        """Read the arrays. Classes are 0 to the largest label.

        Raises:
            InputError: there is no such file, it is not an ``.npz``, or ``x_train`` is missing.
        """
        path = root / self.config.path.expanduser()
        if not path.is_file():
            raise wrong("path", f"there is no file {path}.", "Give an absolute path or one relative to data.root.")
        arrays = _read_npz(path)
        x_test, y_train, y_test = (arrays.get(name) for name in _ARRAYS[1:])
        return ImageData(
            x_train=_with_channels(arrays["x_train"]),
            y_train=None if y_train is None else _as_labels(y_train),
            x_test=None if x_test is None else _with_channels(x_test),
            y_test=None if y_test is None else _as_labels(y_test),
            class_names=tuple(map(str, range(_count_classes(y_train, y_test)))),
            other_labels={
                name.removeprefix(_OTHER_LABELS): _as_labels(labels)
                for name, labels in arrays.items()
                if name.startswith(_OTHER_LABELS)
            },
        )


def _images(paths: Iterable[Path]) -> list[Path]:
    return sorted(path for path in paths if path.suffix.lower() in _SUFFIXES and path.is_file())


def _by_class(folder: Path) -> dict[str, list[Path]]:
    """The images below each subfolder that holds any."""
    found = {path.name: _images(path.rglob("*")) for path in sorted(folder.iterdir()) if path.is_dir()}
    return {name: images for name, images in found.items() if images}


def _labelled(by_class: dict[str, list[Path]], classes: tuple[str, ...]) -> list[tuple[Path, int]]:
    return [(path, classes.index(name)) for name, images in by_class.items() for path in images]


def _test_files(folder: Path, classes: tuple[str, ...]) -> list[tuple[Path, int]]:
    for split in (folder / "test", folder / "val"):
        by_class = _by_class(split) if split.is_dir() else {}
        if by_class and by_class.keys() <= set(classes):
            return _labelled(by_class, classes)
    return []


def _labels(files: list[tuple[Path, int]]) -> NDArray[np.int64]:
    return np.array([label for _, label in files], dtype=np.int64)


def _read_image(path: Path, size: int) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as file:
            image = file.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise wrong("path", f"{path} cannot be read as an image: {error}.", "Replace or remove it.") from error
    shrinks = min(image.size) >= size
    return np.asarray(image.resize((size, size), Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR))


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    if not is_zipfile(path):
        raise wrong("path", f"{path} is not an .npz file.", _HOW_TO_SAVE)
    try:
        with np.load(path, allow_pickle=False) as file:
            names = list(file)
            arrays = {name: file[name] for name in names if name in _ARRAYS or name.startswith(_OTHER_LABELS)}
    except (OSError, EOFError, ValueError, BadZipFile, zlib.error) as error:
        raise wrong("path", f"{path} cannot be read: {error}.", _HOW_TO_SAVE) from error
    if "x_train" not in arrays:
        raise wrong("path", f"{path} has no array x_train; it holds {', '.join(names) or 'nothing'}.", _HOW_TO_SAVE)
    return arrays


def _with_channels(images: NDArray[Any]) -> NDArray[Any]:
    return images[..., None] if images.ndim == 3 else images


def _as_labels(labels: NDArray[Any]) -> NDArray[Any]:
    """Whole numbers of any width as int64; what is not whole is left for `ImageData.validate` to name."""
    return labels.astype(np.int64) if np.issubdtype(labels.dtype, np.integer) else labels


def _count_classes(*labels: NDArray[Any] | None) -> int:
    whole = (some for some in labels if some is not None and some.size and np.issubdtype(some.dtype, np.integer))
    return max((int(some.max()) + 1 for some in whole), default=0)
