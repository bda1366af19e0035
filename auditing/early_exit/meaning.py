"""What the account of exits means, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulator.core.report import Finding

Result = Mapping[str, Any]


def meaning(result: Result, told: str) -> Finding:
    """Of ``result``, the content of ``result.json``; ``told`` is the verdict."""
    few = min(result["validation"])
    return Finding(
        told,
        f"Means over {result['nodes']} nodes of one run. Weights were fitted on as few as {few} samples of a node, so "
        "where few, they may fit these and not others.",
        "What running an exit costs on a device: operations are counted, and neither memory nor waiting. Test samples "
        "are like training samples; on others, exits may be sure and wrong.",
        "More validation samples a node, and a lower price of weights (l1) where exits are left without any.",
        "What the exits are worth",
        "What would help",
    )
