"""Images by reference: shared uint8 arrays, and the rows of them that belong to one set.

Images stay uint8 [N, height, width, channels] until a batch is taken: a quarter of the memory of floats, and the
batch comes out in the channels-last layout that convolutions want.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from simulator.core.input_transform import InputTransform


@dataclass(frozen=True)
class Channel:
    """What one channel holds, where images are more than a gray or RGB picture.

    Attributes:
        group: the kind of picture that it is part of, for example "residual"; a group's channels are neighbours.
        picture: which of the group's pictures, from 0 on.
        zero: the value that stands for nothing: 0 for black, 128 for channels whose values have a sign.
        horizontal: whether it holds displacements to the right, which turn their sign in a mirror image.
    """

    group: str
    picture: int = 0
    zero: int = 0
    horizontal: bool = False


@dataclass(frozen=True)
class Samples:
    """The rows ``index`` of shared arrays.

    Attributes:
        images: uint8 [M, height, width, channels], shared by every set that refers to it.
        labels: int64 [M], or None where the set is unlabelled.
        index: int64 [N], the rows that belong to this set; on the CPU wherever the arrays are.
    """

    images: Tensor
    labels: Tensor | None
    index: Tensor

    def __len__(self) -> int:
        return len(self.index)

    def images_at(self, positions: Tensor) -> Tensor:
        """uint8 [B, height, width, channels] of the samples at ``positions`` (int64 [B], counted within this set)."""
        return self.images[self._rows(positions)]

    def labels_at(self, positions: Tensor) -> Tensor:
        """int64 [B] labels of the samples at ``positions``."""
        if self.labels is None:
            raise ValueError("these samples have no labels")
        return self.labels[self._rows(positions)]

    def _rows(self, positions: Tensor) -> Tensor:
        return self.index[positions.to(self.index.device)].to(self.images.device)

    def subset(self, positions: Tensor) -> Samples:
        """The samples at ``positions`` as a set of its own, over the same arrays."""
        return Samples(self.images, self.labels, self.index[positions.to(self.index.device)])


@dataclass(frozen=True)
class Normalizer:
    """Turns uint8 images into model input: (T(image) / 255 - mean) / std, channel by channel.

    Attributes:
        mean: float [channels], of images scaled to [0, 1].
        std: float [channels], likewise.
        transform: T, what a node does to its images first; None: nothing.
    """

    mean: Tensor
    std: Tensor
    transform: InputTransform | None = None

    def __call__(self, images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """uint8 [B, height, width, channels] to ``dtype`` [B, channels, height, width], channels-last in memory."""
        scale, shift = self._affine
        values = images.to(dtype)
        values = self.transform(values) if self.transform else values
        return values.mul_(scale.to(dtype)).add_(shift.to(dtype)).permute(0, 3, 1, 2)

    def of_pixels(self, pixels: Tensor, *, smooth: bool = False) -> Tensor:
        """The same of float pixels [B, height, width, channels] from 0 to 255, to be differentiated.

        Args:
            pixels: need not be whole numbers.
            smooth: whether gradients go through the stand-in of the transform instead of the transform itself.
        """
        scale, shift = self._affine
        if self.transform:
            pixels = self.transform.smoothed(pixels) if smooth else self.transform(pixels)
        return (pixels * scale.to(pixels) + shift.to(pixels)).permute(0, 3, 1, 2)

    @cached_property
    def _affine(self) -> tuple[Tensor, Tensor]:
        return 1 / (255 * self.std), -self.mean / self.std


@dataclass(frozen=True)
class VerifiedData:
    """Labelled samples that no corruption has touched and no node trains on, in two disjoint sets.

    Attributes:
        fit: to correct a model by.
        select: to choose among corrections by.
    """

    fit: Samples
    select: Samples


@dataclass(frozen=True)
class NodeData:
    """All the data one node can see. ``public`` is in the same order at every node and carries no labels.

    Attributes:
        train: private, labelled: what the node trains on.
        validation: private, labelled, never trained on: for calibration.
        held_out: private, labelled, never used by the node: the non-members of audits.
        test: common to all nodes.
        public: common to all nodes, unlabelled; None where the experiment has no public set.
        normalizer: turns images into model input.
        classes: number of classes.
        channels: what each channel of an image holds; empty for gray and RGB pictures.
        verified: what the node knows to be labelled right; None where nothing was set aside for that.
        modalities: which one each node of the network holds, by its number; empty where all nodes hold all there are.
    """

    train: Samples
    validation: Samples
    held_out: Samples
    test: Samples
    public: Samples | None
    normalizer: Normalizer
    classes: int
    channels: tuple[Channel, ...] = ()
    verified: VerifiedData | None = None
    modalities: tuple[str, ...] = ()


def moved(data: Sequence[NodeData], device: torch.device) -> list[NodeData]:
    """The same data on ``device``; what nodes share, they share there, once."""
    copies: dict[int, Any] = {}

    def there(part: Any) -> Any:
        if id(part) not in copies:
            copies[id(part)] = part.to(device) if isinstance(part, Tensor) else _rebuilt(part, there)
        return copies[id(part)]

    return list(data) if device.type == "cpu" else [_rebuilt(node, there) for node in data]


def _rebuilt(part: Any, there: Callable[[Any], Any]) -> Any:
    """``part`` with every tensor, at any depth, from ``there``; only indices stay where they are drawn, on the CPU."""
    if not is_dataclass(part) or isinstance(part, type):
        return part
    changes = {entry.name: there(getattr(part, entry.name)) for entry in fields(part) if entry.name != "index"}
    return replace(part, **changes)


@dataclass(frozen=True)
class Batch:
    """One step's training data.

    Attributes:
        images: float [B, channels, height, width].
        targets: int64 [B] classes, or float [B, classes] soft labels.
        positions: int64 [B], where each sample stands in the node's training set; private samples come first there.
    """

    images: Tensor
    targets: Tensor
    positions: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))

    def __len__(self) -> int:
        return len(self.images)
