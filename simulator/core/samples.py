"""Samples by reference: shared arrays, and the rows of them that belong to one set.

Inputs stay as compact as they are stored until a batch is taken: images as uint8 [N, height, width, channels] are a
quarter of the memory of floats, and come out in the channels-last layout that convolutions want.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from simulator.core.arrays import Arrays, count, leaves, rows_taken, single, taken
from simulator.core.canary_marks import MarkedCanaries
from simulator.core.channel import Channel
from simulator.core.normalizer import Normalizer
from simulator.core.offers import offered
from simulator.core.preparation import Preparation
from simulator.core.specification import InputSpec, OutputSpec
from simulator.core.task import Task


@dataclass(frozen=True)
class Samples:
    """The rows ``index`` of shared arrays.

    Attributes:
        inputs: one array or several by name, M samples first, shared by every set that refers to it; images are uint8
            [M, height, width, channels].
        targets: [M, ...] as the task says, classes int64 [M]; None where the set is unlabelled.
        index: int64 [N], the rows that belong to this set; on the CPU wherever the arrays are.
        kept: where only some of the M rows are here, int32 [M], the place of each in the arrays, past whose end are
            those that are not; on the CPU. None where all are here.
    """

    inputs: Arrays
    targets: Tensor | None
    index: Tensor
    kept: Tensor | None = None

    def __len__(self) -> int:
        return len(self.index)

    @property
    def device(self) -> torch.device:
        """Where the arrays are."""
        return leaves(self.inputs)[0].device

    def inputs_at(self, positions: Tensor) -> Arrays:
        """What is stored of the samples at ``positions`` (int64 [B], counted within this set)."""
        return taken(self.inputs, self._rows(positions))

    def images_at(self, positions: Tensor) -> Tensor:
        """`inputs_at`, of what is one array: uint8 [B, height, width, channels] of images."""
        return single(self.inputs_at(positions))

    def targets_at(self, positions: Tensor) -> Tensor:
        """[B, ...], the targets of the samples at ``positions``."""
        if self.targets is None:
            raise ValueError("these samples have no labels")
        return rows_taken(self.targets, self._rows(positions))

    def places(self, index: Tensor) -> Tensor:
        """Where in the arrays the rows ``index`` are (int64 of any shape, on the CPU), as indices on their device."""
        return (index if self.kept is None else self.kept[index].long()).to(self.device)

    def _rows(self, positions: Tensor) -> Tensor:
        return self.places(self.index[positions.to(self.index.device)])

    def subset(self, positions: Tensor) -> Samples:
        """The samples at ``positions`` as a set of its own, over the same arrays."""
        return replace(self, index=self.index[positions.to(self.index.device)])


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
        test: common to all nodes, or a share of the node's own.
        public: common to all nodes, unlabelled; None where the experiment has no public set.
        preparation: turns samples into model input.
        inputs: what a network is given of each.
        outputs: what has to come out of it, and what for.
        own_test: private, labelled, never used by the node: what it is tested on beside, or instead of, the common test
            set; None where it is not.
        verified: what the node knows to be labelled right; None where nothing was set aside for that.
        modalities: which one each node of the network holds, by its number; empty where all nodes hold all there are.
        released: the noise multiplier of statistics that the node tells of ``train`` before round 1, 0 where they have
            no noise; None where it tells none.
        canaries: those whose gradients are marks; None where there are no such.
    """

    train: Samples
    validation: Samples
    held_out: Samples
    test: Samples
    public: Samples | None
    preparation: Preparation
    inputs: InputSpec
    outputs: OutputSpec
    own_test: Samples | None = None
    verified: VerifiedData | None = None
    modalities: tuple[str, ...] = ()
    released: float | None = None
    canaries: MarkedCanaries | None = None

    @property
    def task(self) -> Task:
        """What is predicted, and how predictions are judged."""
        return self.outputs.task

    @property
    def offers(self) -> frozenset[str]:
        """What samples and task offer, by names in `simulator.core.traits.NEEDS`."""
        one = self.train.inputs_at(torch.zeros(1, dtype=torch.int64))
        return offered(self.inputs.kind, self.preparation(one), self.task)

    @property
    def classes(self) -> int:
        """Number of classes; 0 where the task is no choice among classes."""
        return self.outputs.classes

    @property
    def channels(self) -> tuple[Channel, ...]:
        """What each channel of an image holds; empty for gray and RGB pictures."""
        return self.inputs.channels

    @property
    def normalizer(self) -> Normalizer:
        """The preparation of images."""
        if not isinstance(self.preparation, Normalizer):
            raise TypeError(f"these samples are no images, but {self.inputs.kind}")
        return self.preparation


def moved(data: Sequence[NodeData], device: torch.device) -> list[NodeData]:
    """The same data on ``device``; what nodes share, they share there, once."""
    copies: dict[int, Any] = {}

    def there(part: Any) -> Any:
        if id(part) not in copies:
            copies[id(part)] = part.to(device) if isinstance(part, Tensor) else _rebuilt(part, there)
        return copies[id(part)]

    return list(data) if device.type == "cpu" else [_rebuilt(node, there) for node in data]


def _rebuilt(part: Any, there: Callable[[Any], Any]) -> Any:
    """``part`` with every tensor, at any depth, from ``there``; only rows' numbers stay where they are drawn."""
    if isinstance(part, Mapping):
        return {name: there(value) for name, value in part.items()}
    if not is_dataclass(part) or isinstance(part, type):
        return part
    changes = {
        entry.name: there(getattr(part, entry.name)) for entry in fields(part) if entry.name not in ("index", "kept")
    }
    return replace(part, **changes)


@dataclass(frozen=True)
class Batch:
    """One step's training data.

    Attributes:
        inputs: as the network takes them: one array or several by name; of images float [B, channels, height, width].
        targets: [B, ...] as the task says: int64 [B] classes, or float [B, classes] soft labels.
        positions: int64 [B], where each sample stands in the node's training set; private samples come first there.
    """

    inputs: Arrays
    targets: Tensor
    positions: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))

    def __len__(self) -> int:
        return count(self.inputs)

    @property
    def images(self) -> Tensor:
        """The inputs, of what is one array: float [B, channels, height, width] of images."""
        if not isinstance(self.inputs, Tensor):
            raise ValueError(f"these inputs are several arrays: {', '.join(self.inputs)}")
        return self.inputs
