"""What promises of privacy beside attacks mean, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from auditing.plain_words import odds
from simulator.core.report import Finding
from simulator.results.formatting import significant

Result = Mapping[str, Any]


def meaning(result: Result, claims: Sequence[float | None]) -> Finding:
    """Of ``result``, the content of ``result.json``; ``claims`` are each node's, and last the least protected one's."""
    attack, found = next(iter(result["attacks"].items()))
    shown, claim = found["pooled"]["epsilon"], claims[-1]
    bounds = [*(each["epsilon"] for each in found["nodes"]), shown]
    broken = any(claim is not None and bound > claim for claim, bound in zip(claims, bounds, strict=True))
    told = (
        f"Whoever goes by {attack} guessed {found['pooled']['correct']} of {found['pooled']['guesses']} times rightly "
        "whether a sample, planted to be found, was trained on. "
        f"That takes an epsilon of at least {significant(shown, 3)}; 0 is guessing."
    )
    if claim is not None:
        told += f" Promised was {significant(claim, 3)} at the least protected node, {odds(claim)}."
    told += " So a promise is broken." if broken else "" if claim is None else " The promise stands."
    confidence = result["settings"]["confidence"]
    return Finding(
        told,
        f"A true promise would be contradicted by chance with a probability of {1 - confidence:.2g} at most, for each "
        "bound by itself. That no promise is contradicted proves none.",
        f"An epsilon above {significant(found['pooled']['ceiling'], 3)}, which faultless guesses would show; what "
        f"rounds tell that were not recorded ({result['recorded']['rounds']} of {result['recorded']['of']} were); "
        "faults of the noise that these scores do not look for.",
        "More noise for the same clipping norm, fewer rounds, smaller batches drawn at random. To see more: more "
        "canaries, and every round recorded.",
    )
