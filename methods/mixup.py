"""MixUp (Zhang et al. 2018, arXiv:1710.09412): training on what lies between two samples, a remedy for label noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from simulator.core.arrays import called, mapped
from simulator.core.linear_memory import Memory
from simulator.core.method import Method
from simulator.core.node import Node
from simulator.core.registry import PartSettings
from simulator.core.samples import Batch
from simulator.core.traits import Traits


class MixUp(Method):
    """Each image is mixed with that of another sample of the batch, and so are their targets.

    One weight l ~ Beta(alpha, alpha) a step, and a random order p of the batch::

        x_i <- l x_i + (1 - l) x_p(i) ;  loss_i = l CE(x_i, y_i) + (1 - l) CE(x_i, y_p(i))

    The network sees the mixed images in a pass of its own, after that of the images as they are, which is then of no
    use: a step costs a forward pass more than it would need. Methods that change losses must come after this one.
    """

    class Config(PartSettings):
        """The parameter of the Beta distribution that shares are drawn from; ``alpha: 0`` mixes nothing."""

        name: str = "mixup"
        alpha: float = Field(0.2, ge=0)

    config: Config
    neutral: ClassVar[Mapping[str, Any]] = {"alpha": 0.0}

    @classmethod
    def traits(cls, config: Any) -> Traits:
        """The losses of the images as they are give way to those of mixed ones, each of two samples."""
        losses: Literal["watches", "replaces"] = "replaces" if config.alpha else "watches"
        return Traits(
            needs=frozenset({"classes", "continuous_inputs"}), losses=losses, beside_gradients=None, memory=Memory()
        )

    def before_round(self, node: Node) -> None:
        """One stream of random numbers for all steps of the round."""
        self._rng = node.rng("mixup")

    def per_sample_loss(self, node: Node, batch: Batch, logits: Tensor, losses: Tensor) -> Tensor:
        """float [B]: row i depends on samples i and p(i)."""
        if self.config.alpha == 0:
            return losses
        share = float(self._rng.beta(self.config.alpha, self.config.alpha))
        partner = torch.from_numpy(self._rng.permutation(len(batch))).to(batch.targets.device)
        model = node.model
        with model.autocast():
            inputs = mapped(batch.inputs, lambda array: array.lerp(array[partner], 1 - share))
            mixed = called(model.module, inputs).to(model.dtype)
        own, other = (
            cross_entropy(mixed, targets, reduction="none") for targets in (batch.targets, batch.targets[partner])
        )
        return own.lerp(other, 1 - share)
