"""What a data set is: images and labels in memory, and the part that loads them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulator.core.errors import wrong
from simulator.core.registry import Part, Registry
from simulator.core.samples import Channel


@dataclass(frozen=True)
class ImageData:
    """A data set in memory.

    Attributes:
        x_train: uint8 [N, height, width, channels]: gray (1), RGB (3), or as ``channels`` declares.
        y_train: int64 [N], or None for an unlabelled data set, which can serve as a public set only.
        x_test: uint8 [M, height, width, channels], or None.
        y_test: int64 [M], or None.
        class_names: one name a class, in the order of the labels; empty for an unlabelled data set.
        other_labels: other labels that the training images have been given, by name; checked where they are used.
        channels: what each channel holds; empty for gray and RGB pictures.
        notes: what the user should know about how the data were read.
    """

    x_train: NDArray[np.uint8]
    y_train: NDArray[np.int64] | None
    x_test: NDArray[np.uint8] | None
    y_test: NDArray[np.int64] | None
    class_names: tuple[str, ...]
    other_labels: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    channels: tuple[Channel, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def num_classes(self) -> int:
        """Number of classes; 0 for an unlabelled data set."""
        return len(self.class_names)

    def validate(self) -> None:
        """Check that the arrays fit together.

        Raises:
            InputError: an array of a wrong type or shape, labels that do not pair up with images or lie outside 0..C-1.
        """
        _check_images("x_train", self.x_train, len(self.channels))
        _check_labels("train", self.x_train, self.y_train, self.num_classes)
        if self.x_test is not None:
            _check_images("x_test", self.x_test, len(self.channels))
            train, test = (shape_text(images.shape[1:]) for images in (self.x_train, self.x_test))
            if train != test:
                raise wrong("", f"x_train has images of {train}, but x_test of {test}.", "Give both the same shape.")
        _check_labels("test", self.x_test, self.y_test, self.num_classes)


class Dataset(Part, ABC):
    """A data set chosen by name."""

    @abstractmethod
    def load(self, root: Path) -> ImageData:
        """Read the data into memory.

        Args:
            root: the folder that data sets lie in.

        Raises:
            InputError: the data is not there or cannot be read.
        """


DATASETS: Registry[Dataset] = Registry("datasets")


def shape_text(shape: tuple[int, ...]) -> str:
    """Height, width and channels, as in ``32x32x3``."""
    return "x".join(map(str, shape))


def to_tensor(array: NDArray[Any]) -> Tensor:
    """A tensor over the array's memory; a copy only where torch cannot use it (read-only or not contiguous)."""
    return torch.from_numpy(np.require(array, requirements=["C_CONTIGUOUS", "WRITEABLE"]))


def _check_images(name: str, images: NDArray[np.uint8], declared: int) -> None:
    if images.dtype != np.uint8:
        raise wrong("", f"{name} has type {images.dtype}, not uint8.", "Convert the pixels to uint8, 0 to 255.")
    if images.ndim != 4 or images.shape[3] not in ((declared,) if declared else (1, 3)):
        known = f"the {declared} channels that are declared" if declared else "1 channel (gray) or 3 (RGB)"
        advice = f"Images are [samples, height, width, channels] with {known}."
        raise wrong("", f"{name} has shape {images.shape}.", advice)
    if images.size == 0:
        raise wrong("", f"{name} holds no images: shape {images.shape}.", "Give at least one image.")


def _check_labels(split: str, images: NDArray[np.uint8] | None, labels: NDArray[np.int64] | None, classes: int) -> None:
    if labels is None:
        return
    name, count = f"y_{split}", 0 if images is None else len(images)
    if labels.dtype != np.int64:
        raise wrong("", f"{name} has type {labels.dtype}, not int64.", "Labels are whole numbers from 0 on.")
    if labels.shape != (count,):
        what = f"{name} has shape {labels.shape}, but x_{split} has {count} images."
        raise wrong("", what, "Give one label an image.")
    if labels.min() < 0 or labels.max() >= classes:
        what = f"{name} runs from {labels.min()} to {labels.max()}, but there are {classes} classes."
        raise wrong("", what, f"Labels run from 0 to {classes - 1}.")
