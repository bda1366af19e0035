"""One of several classes a sample: the task of most of the field's papers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from simulator.core.registry import PartSettings
from simulator.core.specification import OutputSpec
from simulator.core.task import Sums, Task
from simulator.tasks.targets import check_present, described, is_one_hot, is_whole, refused


class Classification(Task):
    """Targets are classes, int64 [B] from 0 to C - 1, or soft labels, float [B, C]; outputs are logits, [B, C]."""

    class Config(PartSettings):
        """There is nothing to choose."""

        name: str = "classification"

    config: Config
    scores: ClassVar[Mapping[str, bool]] = {"accuracy": True, "loss": False}
    headline = "accuracy"
    has_classes = True

    def specify(self, targets: Tensor, names: Sequence[str], vocabulary: int) -> OutputSpec:
        """One output a class.

        Raises:
            InputError: the targets are no classes, or classes that are not those named.
        """
        check_present(targets)
        if is_one_hot(targets):
            what = f"targets are one-hot, {described(targets)}."
            raise refused(what, "Give the number of each sample's class: targets.argmax(1); or set task: multilabel.")
        if targets.dim() == 1 and targets.is_floating_point() and is_whole(targets):
            what = "targets are whole numbers, but of type float."
            raise refused(what, "Give them as int64, where they are classes; set task: regression, where they are not.")
        if targets.dim() != 1 or targets.is_floating_point():
            what = f"targets are {described(targets)}, and no classes."
            raise refused(what, "Set task: regression, multilabel or next_token, or give one class a sample.")
        found = torch.unique(targets).tolist()
        classes = len(names) or len(found)
        if found[0] < 0 or found[-1] >= classes:
            what = f"targets are {len(found)} classes from {found[0]} to {found[-1]}"
            raise refused(f"{what}, of {classes}.", f"Number the classes from 0 to {classes - 1}, or name all of them.")
        return OutputSpec(self, classes, tuple(names))

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy."""
        return cross_entropy(outputs, targets, reduction="none")

    def statistics(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Right answers, summed cross-entropy and their number."""
        return {
            "samples": torch.tensor(len(targets)),
            "correct": (outputs.argmax(dim=1) == targets).sum().cpu(),
            "loss": cross_entropy(outputs.double(), targets, reduction="sum").cpu(),
        }

    def metrics(self, sums: Sums) -> dict[str, float]:
        """Accuracy and mean cross-entropy."""
        accuracy, loss = sums["correct"].double() / sums["samples"], sums["loss"] / sums["samples"]
        return {"accuracy": accuracy.item(), "loss": loss.item()}

    def undefined(self, sums: Sums, names: Sequence[str] = ()) -> dict[str, str]:
        """Nothing, of any sample."""
        return {}

    def margins(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The logit of the label over the largest other one."""
        own = targets[:, None]
        return outputs.gather(1, own)[:, 0] - outputs.scatter(1, own, -torch.inf).amax(dim=1)

    def baseline(self, targets: Tensor, width: int) -> Tensor:
        """The logarithm of each class's share, with one more sample of each."""
        return (targets.bincount(minlength=width).double() + 1).log().log_softmax(dim=0)
