"""Quantities of each sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import huber_loss, l1_loss, mse_loss, poisson_nll_loss

from simulator.core.acting import Acts, If
from simulator.core.registry import PartSettings
from simulator.core.specification import OutputSpec
from simulator.core.task import Sums, Task
from simulator.tasks.scores import why_none
from simulator.tasks.targets import called, check_finite, check_names, check_present, described, refused

CONSTANT = 1e-13  # relative to the mean square: what the rounding of float64 sums leaves of no variance at all


class Regression(Task):
    """Targets are float [B], or [B, L] of L quantities; outputs are predictions [B, L], or logs of expected counts.

    Scores are means over quantities of each quantity's own.
    """

    class Config(PartSettings):
        """The loss, of each quantity, before the mean over quantities.

        Attributes:
            loss: mse (y - f)^2; mae |y - f|; huber, of errors up to ``delta`` half their square and linear beyond;
                poisson exp(f) - y f, of counts y, where predictions are exp(f).
            delta: of huber, in the targets' unit.
        """

        name: str = "regression"
        loss: Literal["mse", "mae", "huber", "poisson"] = "mse"
        delta: float = Field(1.0, gt=0)
        acts: ClassVar[Acts] = {"delta": If(loss="huber")}

    config: Config
    scores: ClassVar[Mapping[str, bool]] = {"rmse": False, "mae": False, "r2": True, "loss": False}
    headline = "rmse"

    def specify(self, targets: Tensor, names: Sequence[str], vocabulary: int) -> OutputSpec:
        """One output a quantity.

        Raises:
            InputError: the targets are no finite numbers, the names are not theirs, or counts are below 0.
        """
        check_present(targets)
        if targets.dim() not in (1, 2) or targets.dtype == torch.bool:
            what = f"targets are {described(targets)}, and no quantities."
            raise refused(what, "Give one number a sample, or a row of them; set task: binary, where it is yes or no.")
        width = targets.reshape(len(targets), -1).shape[1]
        check_names(width, names, "quantities" if width > 1 else "quantity")
        check_finite(targets, names)
        if self.config.loss == "poisson" and (below := int((targets < 0).sum())):
            what = f"{below} of {targets.numel()} targets are below 0, and are no counts."
            raise refused(what, "Set task.loss: mse, mae or huber.")
        return OutputSpec(self, width, tuple(names))

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss of ``config.loss``, the mean over quantities."""
        return self._loss(outputs, targets.reshape(outputs.shape).to(outputs.dtype)).mean(dim=1)

    def statistics(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """By quantity: sums of losses, of errors and their squares, and of targets and their squares."""
        given, wanted = outputs.detach().double().cpu(), targets.reshape(outputs.shape).double().cpu()
        error = (given.exp() if self.config.loss == "poisson" else given) - wanted
        return {
            "samples": torch.tensor(len(given)),
            "loss": self._loss(given, wanted).sum(dim=0),
            "error": error.abs().sum(dim=0),
            "squared_error": error.square().sum(dim=0),
            "target": wanted.sum(dim=0),
            "squared_target": wanted.square().sum(dim=0),
        }

    def metrics(self, sums: Sums) -> dict[str, float]:
        """Root mean squared error, mean absolute error, explained share of the variance, loss."""
        means = {name: values.nanmean().item() for name, values in self._by_quantity(sums).items()}
        return {name: value for name, value in means.items() if value == value}

    def undefined(self, sums: Sums, names: Sequence[str] = ()) -> dict[str, str]:
        """The explained share of the variance, where there is none."""
        if why := why_none(sums):
            return dict.fromkeys(self.scores, why)
        constant = self._by_quantity(sums)["r2"].isnan()
        found = {"r2": "all samples have the same target"} if constant.all() else {}
        if len(constant) > 1:
            for quantity in constant.nonzero()[:, 0].tolist():
                found[f"r2/{called(quantity, names)}"] = "all samples have the same target"
        return found

    def baseline(self, targets: Tensor, width: int) -> Tensor:
        """The mean of each quantity; of counts its logarithm."""
        means = targets.reshape(-1, width).double().mean(dim=0)
        return means.clamp(min=torch.finfo(torch.float32).tiny).log() if self.config.loss == "poisson" else means

    def _by_quantity(self, sums: Sums) -> dict[str, Tensor]:
        """Of each score, float64 [L]; NaN where it is undefined."""
        if why_none(sums):
            return {}
        samples = sums["samples"]
        spread = sums["squared_target"] - sums["target"].square() / samples
        spread = spread.where(spread > CONSTANT * sums["squared_target"], torch.nan)
        return {
            "rmse": (sums["squared_error"] / samples).sqrt(),
            "mae": sums["error"] / samples,
            "r2": 1 - sums["squared_error"] / spread,
            "loss": sums["loss"] / samples,
        }

    @property
    def _loss(self) -> Callable[[Tensor, Tensor], Tensor]:
        """What makes losses, of the same shape, of outputs and targets."""
        functions: dict[str, Callable[..., Tensor]] = {
            "mse": mse_loss,
            "mae": l1_loss,
            "huber": partial(huber_loss, delta=self.config.delta),
            "poisson": poisson_nll_loss,
        }
        return partial(functions[self.config.loss], reduction="none")
