"""What an account of network privacy means, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from auditing.plain_words import odds
from simulator.core.report import Finding
from simulator.results.formatting import significant

Result = Mapping[str, Any]
RELATION = {"add_remove": "whether a node contributes anything", "replace": "what a node contributes"}


def meaning(result: Result) -> Finding:
    """Of ``result``, the content of ``result.json``."""
    near, far, delta = result["by_distance"][0], result["by_distance"][-1], result["settings"]["delta"]
    what = RELATION[result["settings"]["relation"]]
    told = (
        f"How well a neighbour can tell {what}, over all rounds, is limited by epsilon "
        f"{significant(near['largest'], 3)}, {odds(near['largest'])}."
    )
    if far["distance"] > 1:
        told += f" At distance {far['distance']} the limit is {significant(far['largest'], 3)}, {odds(far['largest'])}."
    told += f" Who sees all messages: {significant(result['all_messages'], 3)}."
    certainty = (
        f"This is computed, not measured: it holds for every attack, but for a chance of {delta:g}, if the noise is as "
        "declared."
    )
    if result["block"]:
        certainty += " Distant nodes are given more than they see, so the true limits are lower."
    if not result["noise"]["source"]:
        certainty += " But this run trained without noise: it is what the assumed noise would give."
    unseen = (
        "Nodes that make common cause, and what answers of other nodes' gradients to a node pass on of it. Whether the "
        "noise is really drawn as declared is for the audit of privacy to see."
    )
    remedies = "More noise, fewer rounds, fewer neighbours, and a greater distance to those who are not trusted."
    return Finding(told, certainty, unseen, remedies)
