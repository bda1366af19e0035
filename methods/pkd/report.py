"""What PKD has to say in the report of a run: the accuracy of every exit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from methods.pkd.schedule import PKDSettings
from simulator.core.report import BarChart, FinishedRun, Section, Table

PREFIX = "pkd/accuracy/"
INTERNAL = f"{PREFIX}internal"
TEACHERS = "pkd/teachers"  # how many neighbours' labels a node has learnt from

# What messages hold beside the parameters, and what it tells, where nodes hold one modality each.
DISCLOSURES = (
    (
        "pkd.labels",
        "the outputs, softened by the temperature, of its final classifier on all public samples: to fit a copy of the "
        "model, for membership inference from outputs, and to estimate the shares of its classes; which modality it "
        "holds; nothing of its private samples but through the model",
        "all neighbours, also those of other modalities, which never get the model",
    ),
)


def metric(modality: str, stage: int) -> str:
    """The name of an exit's test accuracy; stages count from 1."""
    return f"{PREFIX}{modality}/{stage}"


def sections(settings: PKDSettings, record: FinishedRun) -> Sequence[Section]:
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
            (_table(found), *_exchanged(record)),
            (_chart(found),),
        )
    ]


def _taught_by(settings: PKDSettings) -> str:
    return ", then ".join(settings.teachers) or "labels"


def _paragraph(settings: PKDSettings) -> str:
    return (
        f"From round {settings.first_round} on, backbones rested and internal classifiers were taught by "
        f"{_taught_by(settings)}. Accuracies on the test set are means over nodes; the last exit of a modality is its "
        "final classifier."
    )


def _table(found: Mapping[str, Sequence[float]]) -> Table:
    rows: list[tuple[str | float, ...]] = []
    for name, values in found.items():
        modality, stage = name.removeprefix(PREFIX).rsplit("/", 1)
        rows.append((modality, stage, *(100 * float(of(values)) for of in (np.mean, np.min, np.max))))
    return Table(("modality", "exit", "test accuracy, %", "worst node, %", "best node, %"), rows)


def _exchanged(record: FinishedRun) -> Iterator[Table]:
    """How many teachers nodes heard, and what messages reveal; nothing where no labels were sent."""
    heard: dict[int, list[float]] = {}
    for each in record.metrics():
        if each.name == TEACHERS:
            heard.setdefault(each.round, []).append(each.value)
    if any(map(any, heard.values())):
        rows = [(round, float(np.mean(values)), values.count(0)) for round, values in heard.items()]
        yield Table(("labels sent in round", "neighbours that taught a node, mean", "nodes that heard none"), rows)
        yield Table(("part of the messages", "what it reveals of a node", "to whom"), DISCLOSURES)


def _chart(found: Mapping[str, Sequence[float]]) -> BarChart:
    means: dict[str, list[float]] = {}
    for name, values in found.items():
        means.setdefault(name.removeprefix(PREFIX).rsplit("/", 1)[0], []).append(100 * float(np.mean(values)))
    exits = [f"exit {stage}" for stage in range(1, 1 + max(map(len, means.values())))]
    return BarChart("Accuracy of the exits", exits, means, "test accuracy, %")
