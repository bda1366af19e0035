"""The page on models that were trained elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from auditing.membership.report import STATISTICS, shown
from auditing.trained_elsewhere.meaning import meaning
from simulator.core.report import LineChart, Section, Table
from simulator.results.formatting import MISSING, significant

Result = Mapping[str, Any]
POOLED = "all models"


def write_page(path: Path, result: Result) -> None:
    """Write the page on ``result``, the content of ``result.json``; it needs no other file.

    Raises:
        OSError: it cannot be written.
    """
    from simulator.results.report.sections import write_sections  # matplotlib takes half a second

    about = f"{len(result['models'])} models, {result['asked']:,} {result['unit']}s, network {result['network']}"
    write_sections(path, "Membership in models trained elsewhere", about, [section(result)])


def section(result: Result) -> Section:
    """The one section of it."""
    best = result["attacks"][result["strongest"]][POOLED]["auc"]
    verdict = (
        f"Whoever gets one of the {len(result['models'])} models, and has the others to compare with, tells "
        f"{result['unit']}s that it trained on from others with an AUC of {shown(best)} ({result['strongest']})."
    )
    tables, pictures = list(_tables(result)), list(_charts(result))
    return Section("Membership", list(_paragraphs(result)), verdict, tables, pictures, meaning(result, best))


def _paragraphs(result: Result) -> Iterator[str]:
    yield (
        "Each model in turn is attacked, and the others are the references that attacks compare with. In brackets: "
        "95 % intervals of a bootstrap over samples; they do not cover models that were trained again. Over all "
        "models, one threshold judges all."
    )
    yield (
        "What a model trained on must have been drawn at random from these samples: if members differ from non-members "
        "by themselves, as by their dates, figures tell of that too. A reference that was trained otherwise than its "
        "target makes attacks look weaker than they are."
    )
    if result["unit"] == "group":
        yield "Samples come in groups, and membership is asked of groups: the scores of a group's samples are averaged."
    yield from (f"Note: {note}." for note in map(str.strip, result["notes"]) if note)


def _tables(result: Result) -> Iterator[Table]:
    attacks = result["attacks"]
    for statistic, title in STATISTICS.items():
        if any(found[POOLED][statistic] for found in attacks.values()):
            rows = [
                (name, shown(found[POOLED][statistic]), *_spread(found, statistic)) for name, found in attacks.items()
            ]
            yield Table((f"{title}: signal, attack", POOLED, "lowest of a model", "highest of a model"), rows)
    best = attacks[result["strongest"]]
    score = result["score"]
    rows = [
        (model["name"], model["members"], *(MISSING if of is None else significant(of, 3) for of in model["scores"]),
         shown(best[model["name"]]["auc"]))
        for model in result["models"]
    ]  # fmt: skip
    yield Table(("model", "members", f"{score} on them", f"{score} on others", f"AUC: {result['strongest']}"), rows)


def _spread(found: Mapping[str, Any], statistic: str) -> tuple[str, str]:
    values = [each[statistic]["value"] for name, each in found.items() if name != POOLED and each[statistic]]
    return (f"{min(values):.3f}", f"{max(values):.3f}") if values else (MISSING, MISSING)


def _charts(result: Result) -> Iterator[LineChart]:
    fpr, tpr = (np.array(result["curve"][name]) for name in ("fpr", "tpr"))
    series = {result["strongest"]: (fpr[tpr > 0], tpr[tpr > 0]), "chance": (fpr, fpr)}
    yield LineChart("ROC over all models", "false-positive rate", "true-positive rate", series, "xy")
