"""What an audit of reconstruction means, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulator.core.report import Finding
from simulator.results.formatting import percent

Result = Mapping[str, Any]


def meaning(result: Result, rebuilt: str) -> Finding:
    """Of ``result``, the content of ``result.json``; ``rebuilt`` says what was found in updates."""
    plan, attacked = result["plan"], result["attacked"]
    solved, updates = (sum(at[name] for at in plan["by_distance"]) for name in ("solved", "updates"))
    pairs, ever = (sum(at[name] for at in plan["by_distance"]) for name in ("pairs", "ever_solved"))
    told = (
        f"Of {pairs:,} pairs of a node and one who looks on, {ever:,} let the latter compute exactly, from nothing but "
        f"the messages it is sent, what the former learned in some round ({percent(solved / max(1, updates))} of all)."
    )
    if rebuilt:
        told += f" What such an update gave away of the samples: {rebuilt}."
    certainty = "Who can compute what is algebra, and sure within the precision of messages."
    if attacked:
        certainty += " What attacks rebuilt is shown beside the best guess from public samples, and beside chance."
    unseen = "Observers who make common cause, and attackers who send what makes others answer with more."
    if plan["followed"] < plan["rounds"]:
        unseen += f" Rounds after the first {plan['followed']}."
    if attacked is None:
        unseen += " What is in the updates: no attack on samples was made."
    else:
        unseen += " Other attacks, or longer ones, may rebuild what these did not."
    return Finding(
        told,
        certainty,
        unseen,
        "Sums of masked messages instead of single ones (masked_sums), more neighbours, noise (dp_sgd, node_dp); and "
        "for what an update holds: larger batches and more local steps.",
    )
