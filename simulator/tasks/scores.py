"""What the scores of all tasks go by: sums without samples, values that are no numbers."""

from __future__ import annotations

import torch

from simulator.core.task import Sums


def why_none(sums: Sums) -> str:
    """Why these sums make no score at all; empty where they make some."""
    if sums["samples"] == 0:
        return "there are no samples"
    return "" if torch.isfinite(sums["loss"]).all() else "the network's outputs are not finite"
