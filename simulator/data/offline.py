"""Data sets that need no download: two come inside scikit-learn's wheel, one is made up.

scikit-learn itself takes a second to import, and is not: its files are read as they are.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from math import prod
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from simulator.core.capacity import check_memory
from simulator.core.paths import place
from simulator.core.registry import PartSettings
from simulator.data.dataset import ArrayData, Dataset

# The data are the same in every experiment, so the experiment's seed has no say in them.
_FIXED_SEED = 0
ARRAYS = ("x_train", "y_train", "x_test", "y_test")
_FILES = "package:sklearn/datasets"
_TEST = 360  # digits
_HEIGHT = 427  # of both photographs, which are wider than high


class Digits(Dataset):
    """Handwritten digits: 1,797 gray images of 8x8, 10 classes (UCI, optical recognition of handwritten digits).

    A fixed, stratified fifth (360 images) is the test set.
    """

    class Config(PartSettings):
        """There is nothing to choose."""

        name: str = "digits"

    config: Config

    def load(self, root: Path) -> ArrayData:
        """1,437 training and 360 test images; ``root`` is not used."""
        digits = _digits()
        return replace(digits, **{name: getattr(digits, name).copy() for name in ARRAYS})


@cache
def _digits() -> ArrayData:
    """Read once a process, and only copied from: parsing the text takes longer than a small run's rounds."""
    rows = np.loadtxt(place(Path(f"{_FILES}/data/digits.csv.gz")), delimiter=",")  # 64 pixels from 0 to 16, and a label
    images = np.round(rows[:, :-1].reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8)
    labels = rows[:, -1].astype(np.int64)
    train, test = _stratified(labels)
    return ArrayData(images[train], labels[train], images[test], labels[test], tuple(map(str, range(10))))


def _stratified(labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which samples are for training and which for testing: drawn as scikit-learn's `train_test_split` does."""
    rng = np.random.RandomState(_FIXED_SEED)  # the one that it draws by
    counts, total = np.bincount(labels), len(labels) - _TEST
    exact = counts / counts.sum() * total
    kept = np.floor(exact).astype(np.int64)
    remainders = exact - kept
    for remainder in np.unique(remainders)[::-1]:
        if not (missing := total - kept.sum()):
            break
        classes = np.flatnonzero(remainders == remainder)
        kept[rng.choice(classes, min(len(classes), missing), replace=False)] += 1
    shuffled = [rng.permutation(np.flatnonzero(labels == label)) for label in range(len(counts))]
    train, test = zip(*(np.split(places, [count]) for places, count in zip(shuffled, kept, strict=True)), strict=True)
    return rng.permutation(np.concatenate(train)), rng.permutation(np.concatenate(test))


class PhotoPatches(Dataset):
    """Square patches of scikit-learn's two sample photographs, RGB and unlabelled: a small public set.

    Patches are cut at fixed random places, with sides between ``size`` and the photographs' height (log-uniform), and
    averaged down to ``size``: large ones keep some content even at 8x8.
    """

    class Config(PartSettings):
        """How many patches are cut, and how large.

        Attributes:
            size: height and width in pixels.
            count: number of patches, half of them from each photograph.
        """

        name: str = "photo_patches"
        size: int = Field(default=32, ge=1, le=_HEIGHT)
        count: int = Field(default=2000, ge=1)

    config: Config

    def load(self, root: Path) -> ArrayData:
        """``count`` images of ``size`` x ``size`` x 3, no labels, no test set; ``root`` is not used."""
        pixels = 3 * self.config.count * self.config.size**2
        check_memory(pixels, f"{self.config.count:,} patches", "Ask for fewer.", "count")
        photos = _photographs()
        rng = np.random.default_rng(_FIXED_SEED)
        patches = [self._patch(photos[i % len(photos)], rng) for i in range(self.config.count)]
        return ArrayData(np.stack(patches), None, None, None, ())

    def _patch(self, photo: Image.Image, rng: np.random.Generator) -> NDArray[np.uint8]:
        size = self.config.size
        side = int(np.exp(rng.uniform(np.log(size), np.log(_HEIGHT + 1))))
        left, top = (int(rng.integers(extent - side + 1)) for extent in photo.size)
        box = (left, top, left + side, top + side)
        return np.asarray(photo.resize((size, size), Image.Resampling.BOX, box=box))


@cache
def _photographs() -> list[Image.Image]:
    """Decoded once a process, and only cut from."""
    return [Image.open(place(Path(f"{_FILES}/images/{name}.jpg"))).convert("RGB") for name in ("china", "flower")]


class UniformNoise(Dataset):
    """Images of nothing, unlabelled: every value independent and uniform from 0 to 255.

    As a public set, they show whether a detector lets pass what it should not.
    """

    class Config(PartSettings):
        """How many images of noise there are, of which shape.

        Attributes:
            size: height and width in pixels.
            channels: 1 (gray) or 3 (RGB).
            count: number of images.
        """

        name: str = "uniform_noise"
        size: int = Field(default=32, ge=1)
        channels: Literal[1, 3] = 3
        count: int = Field(default=10_000, ge=1)

    config: Config

    def load(self, root: Path) -> ArrayData:
        """``count`` images of ``size`` x ``size`` x ``channels``, no labels, no test set; ``root`` is not used."""
        shape = (self.config.count, self.config.size, self.config.size, self.config.channels)
        check_memory(prod(shape), f"{self.config.count:,} images", "Ask for fewer or smaller ones.", "count")
        noise = np.random.default_rng(_FIXED_SEED).integers(0, 256, shape, dtype=np.uint8)
        return ArrayData(noise, None, None, None, ())
