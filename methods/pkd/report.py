"""What PKD has to say in the report of a run: the accuracy of every exit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from methods.pkd.schedule import PKDSettings
from simulator.core.report import BarChart, RunRecord, Section, Table

PREFIX = "pkd/accuracy/"
INTERNAL = f"{PREFIX}internal"


def metric(modality: str, stage: int) -> str:
    """The name of an exit's test accuracy; stages count from 1."""
    return f"{PREFIX}{modality}/{stage}"


def sections(settings: PKDSettings, record: RunRecord) -> Sequence[Section]:
    """One section; none before the run has ended."""
    found: dict[str, list[float]] = {}
    for each in record.metrics():
        if each.name.startswith(PREFIX):
            found.setdefault(each.name, []).append(each.value)
    if not found:
        return ()
    mean = float(np.mean(found.pop(INTERNAL)))
    return [
        Section(
            "Progressive knowledge distillation",
            (_paragraph(settings),),
            f"Internal classifiers, taught by {_taught_by(settings)}, have a test accuracy of {mean:.1%} on average.",
            (_table(found),),
            (_chart(found),),
        )
    ]


def _taught_by(settings: PKDSettings) -> str:
    return ", then ".join(settings.teachers) or "labels"


def _paragraph(settings: PKDSettings) -> str:
    return (
        f"From round {settings.start_round} on, backbones rested and internal classifiers were taught by "
        f"{_taught_by(settings)}. Accuracies on the test set are means over nodes; the last exit of a modality is its "
        "final classifier."
    )


def _table(found: Mapping[str, Sequence[float]]) -> Table:
    rows: list[tuple[str | float, ...]] = []
    for name, values in found.items():
        modality, stage = name.removeprefix(PREFIX).rsplit("/", 1)
        rows.append((modality, stage, *(100 * float(of(values)) for of in (np.mean, np.min, np.max))))
    return Table(("modality", "exit", "test accuracy, %", "worst node, %", "best node, %"), rows)


def _chart(found: Mapping[str, Sequence[float]]) -> BarChart:
    means: dict[str, list[float]] = {}
    for name, values in found.items():
        means.setdefault(name.removeprefix(PREFIX).rsplit("/", 1)[0], []).append(100 * float(np.mean(values)))
    exits = [f"exit {stage}" for stage in range(1, 1 + max(map(len, means.values())))]
    return BarChart("Accuracy of the exits", exits, means, "test accuracy, %")
