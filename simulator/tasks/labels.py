"""Labels that a sample has or has not, each with a logit of its own: what `binary` and `multilabel` have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from simulator.core.task import Sums, Task
from simulator.tasks.calibration import expected_calibration_error, residuals
from simulator.tasks.curves import auroc, average_precision, histogram
from simulator.tasks.scores import why_none


class Labels(Task):
    """Outputs are logits [B, L] of L labels, targets 0 or 1 of the same number, of any type.

    Losses and the Brier score take probabilities as targets, too; for the others half and more counts as 1. A label is
    predicted where its logit is above 0. Scores are means over labels of each label's own, without those labels for
    which it is undefined: AUROC and average precision need samples with the label and samples without it, F1 needs one
    that has it or is said to.
    """

    scores: ClassVar[Mapping[str, bool]] = {
        "auroc": True,
        "average_precision": True,
        "accuracy": True,
        "f1": True,
        "brier": False,
        "calibration": False,
        "loss": False,
    }
    headline = "auroc"
    takes_logits = True

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Binary cross-entropy, the mean over labels."""
        held = targets.reshape(outputs.shape).to(outputs.dtype)
        return binary_cross_entropy_with_logits(outputs, held, reduction="none").mean(dim=1)

    def statistics(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """By label: histograms of logits, sums of losses and squared errors, numbers of right and wrong answers."""
        logits = outputs.detach().double().cpu()
        held = targets.reshape(outputs.shape).double().cpu()
        has, said, chances = held >= 0.5, logits > 0, logits.sigmoid()
        return {
            "samples": torch.tensor(len(logits)),
            "loss": binary_cross_entropy_with_logits(logits, held, reduction="none").sum(dim=0),
            "has": has.sum(dim=0),
            "said": said.sum(dim=0),
            "hits": (has & said).sum(dim=0),
            "right": (has == said).sum(dim=0),
            "squared_error": (chances - held).square().sum(dim=0),
            "residuals": residuals(chances, held),
            **histogram(logits, has),
        }

    def metrics(self, sums: Sums) -> dict[str, float]:
        """Means over labels: area under the ROC curve, average precision, F1, Brier score, calibration error, loss."""
        means = {name: values.nanmean().item() for name, values in self._by_label(sums).items()}
        return {name: value for name, value in means.items() if value == value}

    def margins(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The logit of a label that holds, minus that of one that does not; the mean over labels."""
        return (outputs * (2 * targets.reshape(outputs.shape) - 1)).mean(dim=1)

    def baseline(self, targets: Tensor, width: int) -> Tensor:
        """The log-odds of each label's share, with one more sample that has it and one that has not."""
        held = targets.reshape(-1, width).double()
        return ((held.sum(dim=0) + 1) / ((1 - held).sum(dim=0) + 1)).log()

    def _by_label(self, sums: Sums) -> dict[str, Tensor]:
        """Of each score, float64 [L]; NaN where it is undefined."""
        if why_none(sums):
            return {}
        samples = sums["samples"]
        return {
            "auroc": auroc(sums["counts"], sums["places"]),
            "average_precision": average_precision(sums["counts"], sums["places"]),
            "accuracy": sums["right"] / samples.double(),
            "f1": 2 * sums["hits"] / (sums["has"] + sums["said"]).double(),
            "brier": sums["squared_error"] / samples,
            "calibration": expected_calibration_error(sums["residuals"], samples),
            "loss": sums["loss"] / samples,
        }
