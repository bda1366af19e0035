"""Backdoors, and replacing a neighbour's model (Bagdasaryan et al. 2020, arXiv:1807.00459; Syros et al. 2023)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor

from simulator.adversaries.neighbourhood import neighbourhood
from simulator.adversaries.poisoned import Share, poisoned
from simulator.core.adversary import Adversary, Seen
from simulator.core.arrays import Arrays, single
from simulator.core.errors import Problem
from simulator.core.node import Node
from simulator.core.samples import NodeData, Samples
from simulator.core.training_set import Poison


class Backdoor(Adversary):
    """Teach networks to answer ``target`` where a picture bears a mark: a bright square in its lower right corner.

    The attacker trains on a ``share`` of marked pictures with the label ``target``. With ``replace``, it sends
    x_i + (m - x_i) / w_ia in the place of its model m, so that gossip makes m of the receiver's model x_i, if that
    one's honest neighbours hold the same (Syros et al., arXiv:2301.09732).

    What it achieves at honest nodes, ``backdoor_success``, is the share of marked test pictures of other classes that
    they take for ``target``.
    """

    neutral: ClassVar[Mapping[str, Any]] = {"share": 0.0}
    needs = frozenset({"classes", "images"})

    class Config(Share):
        """The mark, what it stands for, and whether neighbours' models are replaced."""

        name: str = "backdoor"
        share: float = Field(0.5, ge=0, le=1)
        target: NonNegativeInt = 0
        size: PositiveInt = 2
        replace: bool = False

    config: Config

    @classmethod
    def check_samples(cls, config: Any, data: NodeData) -> Iterable[Problem]:
        """There must be such a class, and more of a picture than the mark."""
        if config.target >= data.classes:
            what = f"there is no class {config.target}."
            yield Problem("target", what, f"Count from 0 to {data.classes - 1}.")
        height, width = data.train.images_at(torch.zeros(1, dtype=torch.int64)).shape[1:3]
        if config.size >= min(height, width):
            what = f"a mark of {config.size} pixels leaves nothing of a picture of {height} x {width}."
            yield Problem("size", what, f"Set {min(height, width) - 1} at most; 2 or 3 are usual.")

    def poison(self, node: Node) -> Poison:
        chosen = poisoned(node, self.config.share)

        def mark(places: Tensor, inputs: Arrays, targets: Tensor) -> tuple[Arrays, Tensor]:
            marked, pictures = chosen[places].to(targets.device), single(inputs)
            pictures = self._marked(pictures).where(marked[:, None, None, None], pictures)
            return pictures, targets.masked_fill(marked, self.config.target)

        return mark

    def _marked(self, pictures: Tensor) -> Tensor:
        """``pictures``, uint8 [B, height, width, channels], with the mark."""
        marked = pictures.clone()
        marked[:, -self.config.size :, -self.config.size :] = 255
        return marked

    def craft(self, node: Node, to: int, own: Tensor, seen: Seen) -> Tensor:
        found = neighbourhood(node, to, seen) if self.config.replace else None
        return own if found is None else found.target + (own - found.target) / found.row[node.id]

    def success(self, node: Node) -> Mapping[str, float]:
        test = node.data.test
        targets = test.targets_at(torch.arange(len(test)))
        others = (targets != self.config.target).nonzero().flatten()
        marked = Samples(self._marked(test.images_at(others)), targets[others], torch.arange(len(others)))
        answers = node.outputs(marked).argmax(dim=1)
        return {"backdoor_success": (answers == self.config.target).double().mean().item()}
