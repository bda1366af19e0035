"""The data of models that were trained elsewhere: arrays of samples and targets, and how networks are given them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from auditing.trained_elsewhere.forms import WHERE, check_lengths, inputs_of, targets_of
from auditing.trained_elsewhere.normalisation import preparation_of
from simulator.core.errors import wrong
from simulator.core.offers import offered
from simulator.core.preparation import Preparation
from simulator.core.samples import Samples
from simulator.core.specification import InputSpec, OutputSpec
from simulator.core.task import Task

KNOWN = ("x", "y", "mean", "std", "group", "x_test", "y_test")


@dataclass(frozen=True)
class AuditedData:
    """The samples that models were, or were not, trained on.

    Attributes:
        samples: M of them.
        test: samples that no model trained on, for attacks that compare with such; None where there are none.
        group: int64 [M], which samples belong together; None where each is on its own.
        preparation: what makes the networks' input of them.
        inputs: what a network is given of each.
        outputs: what has to come out of it.
        notes: what was taken for granted, a sentence each.
    """

    samples: Samples
    test: Samples | None
    group: NDArray[np.int64] | None
    preparation: Preparation
    inputs: InputSpec
    outputs: OutputSpec
    notes: Sequence[str] = field(default=())

    @property
    def task(self) -> Task:
        """What is predicted."""
        return self.outputs.task

    @property
    def offers(self) -> frozenset[str]:
        """What samples and task offer, by names in `simulator.core.traits.NEEDS`."""
        one = self.preparation(self.samples.inputs_at(torch.zeros(1, dtype=torch.int64)))
        return offered(self.inputs.kind, one, self.task)

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], task: Task, classes: int | None = None) -> AuditedData:
        """The data in ``arrays``, by the names in `KNOWN`.

        Args:
            arrays: "x", uint8 images [M, height, width, channels] or numbers [M, ...] as the networks take them; "y"
                targets as ``task`` has them; where they are to be normalised "mean" and "std", of images scaled to
                [0, 1]; "group" int64 [M]; "x_test" and "y_test", samples that no model trained on.
            task: what the networks were trained for.
            classes: how many there are; by default the largest label tells.

        Raises:
            InputError: something is missing, or of a form that is only nearly right.
        """
        if missing := [name for name in ("x", "y") if name not in arrays]:
            what = f"holds no array {missing[0]}, but {', '.join(arrays) or 'nothing'}."
            raise wrong(WHERE, what, "Name the samples x and their targets y: numpy.savez(file, x=x, y=y).")
        x, y = inputs_of("x", np.asarray(arrays["x"])), targets_of("y", np.asarray(arrays["y"]), task)
        test = _test(arrays, task, x)
        check_lengths(x=x, y=y, **({"group": arrays["group"]} if "group" in arrays else {}))
        kind = "images" if x.dtype == np.uint8 else "tokens" if x.dtype.kind == "i" else "arrays"
        samples = _samples(x, y)
        names = [str(each) for each in range(classes or _classes(samples, test))] if task.has_classes else []
        vocabulary = int(x.max()) + 1 if kind == "tokens" else 0
        preparation, notes = preparation_of(x, arrays, kind)
        return cls(
            samples,
            test,
            None if "group" not in arrays else np.unique(arrays["group"], return_inverse=True)[1],
            preparation,
            InputSpec(kind, x.shape[1:], vocabulary=vocabulary),
            task.specify(samples.targets_at(samples.index), names, vocabulary),
            [*notes, *_unused(arrays)],
        )


def _classes(*sets: Samples | None) -> int:
    """One more than the largest label in all ``sets``."""
    return 1 + max(int(samples.targets_at(samples.index).max()) for samples in sets if samples)


def _unused(arrays: Mapping[str, NDArray[Any]]) -> list[str]:
    """What to tell of arrays that go by another name than was thought, such as groups."""
    others = sorted(set(arrays) - set(KNOWN))
    return [f"not used of the data: {', '.join(others)}; known are {', '.join(KNOWN)}"] if others else []


def _samples(x: NDArray[Any], y: NDArray[Any]) -> Samples:
    writable = np.require(x, requirements=["C", "W"])  # as torch wants it
    return Samples(torch.from_numpy(writable), torch.from_numpy(y), torch.arange(len(x)))


def _test(arrays: Mapping[str, NDArray[Any]], task: Task, like: NDArray[Any]) -> Samples | None:
    there = [name for name in ("x_test", "y_test") if name in arrays]
    if len(there) == 1:
        raise wrong(WHERE, f"there is {there[0]} alone.", "Give x_test and y_test, or none of them.")
    if not there:
        return None
    x, y = inputs_of("x_test", np.asarray(arrays["x_test"])), targets_of("y_test", np.asarray(arrays["y_test"]), task)
    check_lengths(x_test=x, y_test=y)
    if (x.dtype, x.shape[1:]) != (like.dtype, like.shape[1:]):
        what = f"x_test is {x.dtype} of shape {x.shape}, and x {like.dtype} of {like.shape}."
        raise wrong(WHERE, what, "Give both in one form.")
    return _samples(x, y)
