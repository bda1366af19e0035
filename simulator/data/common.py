"""What all nodes of a network know alike of its data: one half of preparing them. The other is what each node holds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from simulator.core.canary_marks import MarkedCanaries
from simulator.core.errors import wrong
from simulator.core.preparation import Preparation
from simulator.core.samples import NodeData, Samples, VerifiedData
from simulator.core.specification import InputSpec, OutputSpec
from simulator.core.task import Task
from simulator.data.content import digest
from simulator.data.corruption import Rows
from simulator.data.dataset import ArrayData
from simulator.data.groups import Indices
from simulator.data.kinds.kind import StoredArrays
from simulator.data.public import PublicSet
from simulator.data.settings import DataSettings
from simulator.data.stored import size, to_numpy, to_tensor, to_tensors
from simulator.data.verified import VerifiedRows


@dataclass(frozen=True)
class Common:
    """What a sample is, how it becomes network input, and the samples that everyone has.

    Attributes:
        inputs: what a network is given.
        outputs: what it has to put out.
        preparation: from the one to the other.
        public: unlabelled, perhaps none.
        test: what all nodes are tested on; None where they are tested on samples of their own alone.
    """

    inputs: InputSpec
    outputs: OutputSpec
    preparation: Preparation
    public: PublicSet
    test: Samples | None

    def node(
        self,
        train: Samples,
        rows: Rows,
        own_test: Samples | None,
        verified: VerifiedRows | None,
        canaries: MarkedCanaries | None = None,
    ) -> NodeData:
        """What a node sees that holds these ``rows`` of ``train``."""
        fit, validation, held_out = (train.subset(torch.from_numpy(split)) for split in rows)
        tested_on = self.test or own_test
        assert tested_on is not None  # it is one of the two
        return NodeData(
            train=fit,
            validation=validation,
            held_out=held_out,
            test=tested_on,
            public=self._public,
            preparation=self.preparation,
            inputs=self.inputs,
            outputs=self.outputs,
            own_test=own_test,
            verified=_verified(train, verified),
            canaries=canaries,
        )

    def identified(self, private: NDArray[np.uint8]) -> str:
        """Tells the samples that every node must have alike from any others, as a hexadecimal number.

        Args:
            private: the digest of such private data as all nodes can read.
        """
        return digest([("private", private), ("public", to_numpy(self.public.inputs))]).hex()

    @cached_property
    def _public(self) -> Samples | None:
        count = len(self.public.index)
        return Samples(self.public.inputs, None, torch.arange(count)) if count else None


def specified(task: Task, data: ArrayData) -> OutputSpec:
    """What the network has to put out.

    Raises:
        InputError: the targets are not what the task is about, or its headline is none of its scores.
    """
    if task.headline not in task.scores:
        what = f"the headline of {task.config.name} is '{task.headline}', and its scores are {', '.join(task.scores)}."
        raise wrong("task", what, "Name one of the scores, or add it to them, with whether more of it is better.")
    assert data.y_train is not None  # private data are labelled
    vocabulary = data.kind.specification(data.x_train).vocabulary
    return task.specify(to_tensor(data.y_train), data.class_names, vocabulary)


def check_kind(settings: DataSettings, inputs: InputSpec) -> None:
    """Refuse settings that are about images where samples are none.

    Raises:
        InputError: they are such.
    """
    if inputs.kind != "images" and settings.augment.is_on:
        what = f"images can be augmented, and these samples are {inputs.kind}."
        raise wrong("data.augment", what, "Remove it.")


def called(inputs: InputSpec) -> str:
    """What to call samples, in the plural."""
    return "images" if inputs.kind == "images" else "samples"


def samples_of(inputs: StoredArrays | None, targets: NDArray[Any] | None) -> Samples:
    """All samples of labelled arrays."""
    assert inputs is not None  # whoever loaded them saw to both
    assert targets is not None
    return Samples(to_tensors(inputs), to_tensor(targets), torch.arange(size(inputs)))


def subset_of(rows: Indices, limit: int | None, rng: np.random.Generator) -> Indices:
    """At most ``limit`` of ``rows``, drawn at random; None: all."""
    return rows if limit is None else np.sort(rng.permutation(rows)[:limit])


def _verified(train: Samples, rows: VerifiedRows | None) -> VerifiedData | None:
    return VerifiedData(*(train.subset(torch.from_numpy(half)) for half in rows)) if rows else None
