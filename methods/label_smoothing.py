"""Label smoothing (Szegedy et al. 2016, arXiv:1512.00567), a remedy for label noise (Lukasik et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor
from torch.nn.functional import log_softmax

from simulator.core.linear_memory import Memory
from simulator.core.method import Method
from simulator.core.node import Node
from simulator.core.registry import PartSettings
from simulator.core.samples import Batch
from simulator.core.traits import Traits


class LabelSmoothing(Method):
    """Training targets are (1 - strength) times the label plus strength / C for each of C classes.

    What that does under label noise is in Lukasik et al. 2020, arXiv:2003.02819.
    """

    class Config(PartSettings):
        """How much of a label is spread evenly over all classes."""

        name: str = "label_smoothing"
        strength: float = Field(0.1, ge=0, le=1)

    config: Config
    neutral: ClassVar[Mapping[str, Any]] = {"strength": 0.0}

    @classmethod
    def traits(cls, config: Any) -> Traits:
        """Only the loss is changed."""
        return Traits(
            needs=frozenset({"classes"}),
            stackable=True,
            row_wise=True,
            losses="changes",
            beside_gradients=None,
            memory=Memory(),
        )

    def per_sample_loss(self, node: Node, batch: Batch, logits: Tensor, losses: Tensor) -> Tensor:
        """Cross-entropy is linear in its target, so the target's two parts have losses of their own."""
        if self.config.strength == 0:
            return losses
        uniform = -log_softmax(logits.to(losses.dtype), dim=1).mean(dim=1)
        return losses.lerp(uniform, self.config.strength)
