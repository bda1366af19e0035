"""Any number of labels of each sample."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from simulator.core.registry import PartSettings
from simulator.core.specification import OutputSpec
from simulator.core.task import Sums
from simulator.tasks.labels import Labels
from simulator.tasks.scores import why_none
from simulator.tasks.targets import called, check_labels, check_names, check_present, described, refused


class Multilabel(Labels):
    """Targets are 0 or 1 for each label, int64 or float [B, L]; outputs are logits [B, L].

    The headline is the mean AUROC over labels, as for chest X-rays (ChestX-ray14, CheXpert) and MedMNIST: chance is 0.5
    whatever a label's prevalence, so sites compare, where the mean average precision of photographs' benchmarks (COCO)
    grows with prevalence. That is given beside it.
    """

    class Config(PartSettings):
        """There is nothing to choose."""

        name: str = "multilabel"

    config: Config

    def specify(self, targets: Tensor, names: Sequence[str], vocabulary: int) -> OutputSpec:
        """One output a label.

        Raises:
            InputError: the targets are no columns of 0 and 1, or the names are not theirs.
        """
        check_present(targets)
        if targets.dim() != 2:
            what = f"targets are {described(targets)}, and not one column a label."
            one = "binary, where they are 0 and 1, or classification"
            several = "of labels that never come together, which are taken for classes, set meaning: quantity"
            raise refused(what, f"Give 0 or 1 for each label ({several}); with one number a sample set task: {one}.")
        check_names(targets.shape[1], names, "labels")
        check_labels(targets, names)
        return OutputSpec(self, targets.shape[1], tuple(names))

    def undefined(self, sums: Sums, names: Sequence[str] = ()) -> dict[str, str]:
        """What means leave out, by label, and means of no label."""
        if why := why_none(sums):
            return dict.fromkeys(self.scores, why)
        found = {}
        for score, values in self._by_label(sums).items():
            if values.isnan().all():
                found[score] = "it is undefined for every label"
            for label in values.isnan().nonzero()[:, 0].tolist():
                why = "no sample has it" if sums["has"][label] == 0 else "every sample has it"
                found[f"{score}/{called(label, names)}"] = why
        return found
