"""What an audit of membership means, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from auditing.plain_words import is_guessing, picks
from simulator.core.report import Finding
from simulator.results.formatting import percent

Result = Mapping[str, Any]


def meaning(result: Result) -> Finding:
    """Of ``result``, the content of ``result.json``."""
    return Finding(
        " ".join(_told(result)), " ".join(_certainty(result)), " ".join(_unseen(result)), " ".join(_remedies(result))
    )


def _told(result: Result) -> Iterator[str]:
    """Of the view from which most is seen, and whether the others are any different."""
    best, unit = result["attacks"][result["strongest"]], "group" if result.get("groups") else "sample"
    view = max(best, key=lambda name: best[name]["auc"]["value"])
    holder, auc = result["views"][view], best[view]["auc"]
    yield f"{holder[0].upper()}{holder[1:]}."
    asked = f"Shown a {unit} that the node trained on and another that it did not, this attacker"
    if is_guessing(auc):
        yield f"{asked}, as far as this test sees, only guesses which is which: right {picks(auc['value'])}."
        return
    yield f"{asked} is right about which is which {picks(auc['value'])} (an AUC of {auc['value']:.3f}; 1 is always)."
    blind = [name for name in best if name != view and is_guessing(best[name]["auc"])]
    if len(best) > 1:
        others, seeing = len(best) - 1, len(best) - 1 - len(blind)
        yield f"Something is seen from {seeing} of {others} other views{', too' if seeing else ''}."
    for rate, name in ((0.01, "tpr_at_0.01"), (0.001, "tpr_at_0.001")):
        if found := best[view][name]:
            share, alarm = percent(found["value"]), f"{1000 * rate:.0f} in 1,000"
            yield f"Accusing {alarm} non-members wrongly, it finds {share} of the members; guessing finds {rate:.1%}."
            return


def _certainty(result: Result) -> Iterator[str]:
    best = result["attacks"][result["strongest"]]
    auc = max((found["auc"] for found in best.values()), key=lambda each: each["value"])
    yield (
        f"By which samples happened to be asked about, the AUC is uncertain: {auc['low']:.3f} to {auc['high']:.3f} "
        "(95 % interval). That is one run: training again with another seed may move it by more."
    )
    check = result.get("check")
    if check and all(each["passed"] for each in check.values()):
        yield "A network that saw none of these samples cannot tell them apart either, as it must be."
    elif check:
        yield "Beware: a network that saw none of these samples tells them apart too, so a part of this is no leak."


def _unseen(result: Result) -> Iterator[str]:
    yield (
        f"Rarer mistakes than one in {result['non_members']:,}, the number of non-members asked about; other attacks "
        f"than the {len(result['attacks'])} that were tried, or the same with more reference networks; and attackers "
        "who do not only look on but steer training by what they send."
    )
    if result["unseen"]:
        yield f"{len(result['unseen'])} views were not to be had in this run; they are listed below."


def _remedies(result: Result) -> Iterator[str]:
    gaps = np.array(result["gaps"], dtype=np.float64)
    if not np.isnan(gaps).all() and "accuracy" in result.get("gap", "accuracy"):
        yield (
            f"The models are right on members {100 * np.nanmean(gaps):.1f} percentage points more often than on "
            "non-members. What narrows that gap lowers this: more samples a node, fewer steps, stronger regularization."
        )
    yield (
        "Only differential privacy (methods dp_sgd, node_dp) bounds what any attack can do, at a cost in accuracy. "
        "Recording and sending less leaves fewer views."
    )
