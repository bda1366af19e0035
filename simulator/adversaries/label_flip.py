"""Label flipping (Tolpegin et al. 2020, arXiv:2007.08432; of all labels, as He et al. 2022, arXiv:2202.01545)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from simulator.adversaries.poisoned import Share, poisoned
from simulator.core.adversary import Adversary
from simulator.core.arrays import Arrays
from simulator.core.node import Node
from simulator.core.training_set import Poison


class LabelFlip(Adversary):
    """Train on class K - 1 - y in the place of y, on a ``share`` of the samples, and send what comes of it."""

    neutral: ClassVar[Mapping[str, Any]] = {"share": 0.0}
    needs = frozenset({"classes"})

    class Config(Share):
        """How many of its samples."""

        name: str = "label_flip"

    config: Config

    def poison(self, node: Node) -> Poison:
        chosen, last = poisoned(node, self.config.share), node.data.classes - 1

        def flip(places: Tensor, inputs: Arrays, targets: Tensor) -> tuple[Arrays, Tensor]:
            return inputs, (last - targets).where(chosen[places].to(targets.device), targets)

        return flip
