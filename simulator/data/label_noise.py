"""Wrong labels, by name: which label a sample gets. Which samples get one is decided in `simulator.data.corruption`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt

from simulator.core.errors import did_you_mean, wrong
from simulator.core.registry import Part, PartSettings, Registry
from simulator.data.dataset import ArrayData

Labels = NDArray[np.int64]
Share = Annotated[float, Field(ge=0, le=1)]


class LabelNoise(Part, ABC):
    """A kind of label noise, chosen by name."""

    class Config(PartSettings):
        """Settings that all label noise has.

        Attributes:
            rate: the share of its samples that a node gets with a label of this kind.
            nodes: the rate at single nodes, by node number; all others have ``rate``.
        """

        rate: Share
        nodes: Mapping[NonNegativeInt, Share] = {}

        def at(self, node: int) -> float:
            """The rate that holds at ``node``."""
            return self.nodes.get(node, self.rate)

    config: Config

    @abstractmethod
    def labels(self, data: ArrayData, rng: np.random.Generator) -> Labels:
        """The label that each training image gets if noise hits it.

        Args:
            data: a labelled data set.
            rng: the only source of randomness.

        Returns:
            int64 [N].

        Raises:
            InputError: the data set has no such labels.
        """


LABEL_NOISE: Registry[LabelNoise] = Registry("label_noise")


class Symmetric(LabelNoise):
    """One of the other classes, all equally likely."""

    class Config(LabelNoise.Config):
        """Which share of labels is flipped, at which nodes."""

        name: str = "symmetric"

    config: Config

    def labels(self, data: ArrayData, rng: np.random.Generator) -> Labels:
        """Never the true class."""
        return other_classes(true_labels(data), data.num_classes, rng)


class Pair(LabelNoise):
    """The next class, and the first one for the last: c becomes (c + 1) mod C (Han et al. 2018, arXiv:1804.06872)."""

    class Config(LabelNoise.Config):
        """Which share of labels is flipped, at which nodes."""

        name: str = "pair"

    config: Config

    def labels(self, data: ArrayData, rng: np.random.Generator) -> Labels:
        """The class after the true one, for every sample alike."""
        return (true_labels(data) + 1) % data.num_classes


class Given(LabelNoise):
    """Labels that the data set brings along, such as those of human annotators in CIFAR-10N (arXiv:2110.12088).

    Where they agree with the true ones nothing changes, so the share of wrong labels is lower than ``rate``.
    """

    class Config(LabelNoise.Config):
        """Which of the noisy labels that come with the data are taken.

        Attributes:
            key: which ones: ``worse`` for the array ``y_train_worse`` of an ``.npz`` file.
        """

        name: str = "given"
        key: str
        rate: Share = 1.0

    config: Config

    def labels(self, data: ArrayData, rng: np.random.Generator) -> Labels:
        """As they are in the data set.

        Raises:
            InputError: it has none under this key, or they do not pair up with the training images.
        """
        known, key = data.other_labels, self.config.key
        if key not in known:
            raise wrong("key", f"the data set has no labels '{key}'.", did_you_mean(key, list(known), "keys"))
        found, images = known[key], len(data.x_train)
        if found.shape != (images,):
            what = f"labels '{key}' have shape {found.shape}, but there are {images} training images."
            raise wrong("key", what, "Give one label an image.")
        if found.dtype != np.int64 or found.min() < 0 or found.max() >= data.num_classes:
            what = f"labels '{key}' are not all classes of the data set."
            raise wrong("key", what, f"Labels are whole numbers from 0 to {data.num_classes - 1}.")
        return found


def true_labels(data: ArrayData) -> Labels:
    """int64 [N], of the training images."""
    assert data.y_train is not None  # the private data set is labelled
    return data.y_train


def other_classes(labels: Labels, classes: int, rng: np.random.Generator) -> Labels:
    """For each of ``labels`` (int64 [N]) another class, all equally likely.

    Raises:
        InputError: there is only one class.
    """
    if classes < 2:
        raise wrong("", "there is only one class, so no label can be wrong.", "Take a data set of more classes.")
    return (labels + rng.integers(1, classes, len(labels))) % classes
