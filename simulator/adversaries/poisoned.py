"""Which of its samples an attacker poisons: a share of them, drawn once."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from simulator.core.node import Node
from simulator.core.registry import PartSettings


class Share(PartSettings):
    """Settings of an attack on samples; where none is poisoned, the node does not lie."""

    share: float = Field(1.0, ge=0, le=1)


def poisoned(node: Node, share: float) -> Tensor:
    """bool [N]: for each place in the node's training set whether its sample is poisoned."""
    drawn = node.rng("adversary.poisoned", round=0).random(len(node.data.train)) < share
    return torch.from_numpy(drawn)
