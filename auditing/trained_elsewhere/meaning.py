"""What an audit of models trained elsewhere means, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from auditing.plain_words import is_guessing, picks
from simulator.core.report import Finding

Result = Mapping[str, Any]


def meaning(result: Result, auc: Mapping[str, float]) -> Finding:
    """Of ``result``, the content of ``result.json``; ``auc`` is that of the strongest attack over all models."""
    unit, models = result["unit"], len(result["models"])
    told = (
        f"Whoever gets one of the models, and has the {models - 1} others to compare with, is shown a {unit} that it "
        f"trained on and one that it did not. Which is which is said rightly {picks(auc['value'])}"
    )
    return Finding(
        f"{told}: as far as this test sees, that is guesswork." if is_guessing(auc) else f"{told}.",
        f"By which {unit}s happened to be asked about, the AUC is uncertain: {auc['low']:.3f} to {auc['high']:.3f} "
        "(95 % interval); models trained again may move it by more. It counts if chance chose what was trained on.",
        f"Other attacks than the {len(result['attacks'])} tried, the same with more references, and attackers who see "
        "more than one finished model.",
        f"More {unit}s in training, fewer steps, stronger regularization. Only differential privacy bounds what any "
        "attack can do.",
    )
