"""What an audit of class shares means, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulator.core.report import Finding
from simulator.results.formatting import percent

Result = Mapping[str, Any]
UNINFORMED = ("nothing", "mean model")  # alike for all nodes


def meaning(result: Result, shares: Mapping[str, float]) -> Finding:
    """Of ``result``, the content of ``result.json``; ``shares`` of nodes whose largest class each attacker finds."""
    guessing, nodes = shares.get("nothing", 0.0), len(result["truth"])
    informed = {name: share for name, share in shares.items() if name not in UNINFORMED}
    best = max(informed, key=lambda name: informed[name], default="")
    if not best:
        told = "Nobody: no part of a message that an attacker here could go by was sent in the recorded rounds."
    else:
        told = (
            f"Whoever hears a node's {best} names the class that the node has most of for {percent(informed[best])} of "
            f"the nodes. Who knows nothing is right for {percent(guessing)}"
        )
        told += ", which is no less." if informed[best] <= guessing else "."
    return Finding(
        told,
        f"These are shares of {nodes} nodes of one run: one node more or less is {percent(1 / nodes)}. With another "
        "seed nodes hold other classes.",
        "Rounds that were not recorded; attackers who know something of a node beforehand, or who learn from many "
        "rounds together what no single one tells: here each round is judged by itself.",
        "Sending fewer parts that tell classes (labels of public samples, last layers), coarser or noisier ones, or "
        "sums instead of single messages (masked_sums). Nodes whose classes are even have nothing to tell.",
    )
