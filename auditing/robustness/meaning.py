"""What an audit of robustness means, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulator.core.report import Finding
from simulator.results.formatting import percent

Result = Mapping[str, Any]


def meaning(result: Result, chosen: Mapping[str, float]) -> Finding:
    """Of ``result``, the content of ``result.json``; ``chosen`` are accuracies of the ensembles by attacker."""
    return Finding(
        f"Someone who changes no pixel by more than {percent(result['settings']['eps'])} of white brings ensembles' "
        f"right answers from {percent(chosen['clean'])} of images down to {percent(chosen['transfer'])} from outside, "
        f"{percent(chosen['insider'])} as a neighbour, and {percent(chosen['adaptive'])} if they attack the ensemble "
        "itself.",
        f"Counted on {result['images']} images of one run: one image more or less is "
        f"{percent(1 / max(1, result['images']))}. There is no interval that covers other seeds.",
        "Stronger attacks, other limits than so much a pixel, and changes that people would not notice though they are "
        "larger. An accuracy under attack is an upper bound, never a promise.",
        "Members between which attacks transfer less, training on attacked images, and a smaller gap between naive and "
        "adaptive attacks, which only shows that gradients are masked.",
        "Who can do what to whom",
        "What would help",
    )
