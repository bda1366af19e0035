"""What an audit of memorization means, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from auditing.plain_words import is_guessing, picks
from simulator.core.report import Finding
from simulator.results.formatting import percent

Result = Mapping[str, Any]


def meaning(result: Result) -> Finding:
    """Of ``result``, the content of ``result.json``."""
    main = result["scores"][0]
    told = [
        f"Every training sample has a score, the {main}: the higher, the more its node learned it by heart, since "
        "other samples do not help with it."
    ]
    for kind, found in result["detection"].items():
        auroc = found["scores"][main]["pooled"]
        share = percent(found["number"] / result["samples"])
        told.append(
            f"Of a sample of the {kind} ({share} of all) and a clean one, the former has the higher score "
            f"{picks(auroc['value'])}{': no more than guessing' if is_guessing(auroc) else ''}."
        )
    known = bool(result["detection"])
    return Finding(
        " ".join(told),
        "In brackets below are 95 % intervals over samples. They do not cover training again with another seed."
        if known
        else "No sample is known to be wrong, so nothing here says how good the score is.",
        "Whether anybody outside could tell: this looks from inside, with all models at hand. That is for the audit of "
        "membership. Samples that are rare but right look like wrong ones.",
        "Wrong labels corrected or left out (verifix, finetune_verified); fewer rounds, more samples, regularization.",
        "What the models know by heart",
    )
