"""Yes or no of each sample."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from simulator.core.registry import PartSettings
from simulator.core.specification import OutputSpec
from simulator.core.task import Sums
from simulator.tasks.labels import Labels
from simulator.tasks.scores import why_none
from simulator.tasks.targets import check_labels, check_present, described, is_one_hot, refused


class Binary(Labels):
    """Targets are 0 or 1, int64 or float [B]; outputs are the logit of 1, [B, 1]."""

    class Config(PartSettings):
        """There is nothing to choose."""

        name: str = "binary"

    config: Config

    def specify(self, targets: Tensor, names: Sequence[str], vocabulary: int) -> OutputSpec:
        """One output, whatever the two classes are called.

        Raises:
            InputError: the targets are something else than 0 and 1.
        """
        check_present(targets)
        if targets.dim() != 1:
            what = f"targets are {described(targets)}, and not one number a sample."
            if is_one_hot(targets) and targets.shape[1] == 2:
                raise refused(f"targets are one-hot, {described(targets)}.", "Give the second column: targets[:, 1].")
            if targets.dim() == 2 and targets.shape[1] == 1:
                raise refused(what, "Leave out the second dimension: targets[:, 0].")
            raise refused(what, "Set task: multilabel, where there are several labels a sample.")
        if len(names) > 2:
            what = f"targets are of {len(names)} classes, and not of two: {', '.join(names[:10])}."
            raise refused(what, "Write two classes alone, each in one spelling; or set task: classification.")
        check_labels(targets, ())
        return OutputSpec(self, 1, tuple(names))

    def undefined(self, sums: Sums, names: Sequence[str] = ()) -> dict[str, str]:
        """Scores that need samples of both classes, where there are samples of one."""
        if why := why_none(sums):
            return dict.fromkeys(self.scores, why)
        missing = int(sums["has"] == 0)  # the class that no sample has
        why = f"no sample has the label {names[missing] if len(names) == 2 else missing}"
        return {name: why for name, value in self._by_label(sums).items() if value.isnan()}
