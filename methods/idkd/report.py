"""What IDKD has to say in the report of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import nan
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from methods.idkd.settings import IDKDSettings
from simulator.core.report import Artifact, BarChart, FinishedRun, LineChart, Section, Table

Arrays = Mapping[str, NDArray[Any]]

# The setting that sends a part, the part, and what it tells its receivers beyond the model they get in any case.
DISCLOSURES = (
    (
        "always",
        "idkd.positions",
        "which public samples look like the node's own data; with the labels, which classes it holds and roughly in "
        "what shares (audit class_shares measures it)",
    ),
    (
        "always",
        "idkd.labels",
        "the model's outputs on these samples, to fit a copy of the model or for membership inference from outputs",
    ),
    (
        "hops",
        "idkd.origins",
        "whose labels these are, so the two above also to nodes that never get the model, and which nodes are near",
    ),
    (
        "official",
        "idkd.histogram",
        "the exact number of the node's private training samples of each class",
    ),
)


class ExchangeRow(NamedTuple):
    """One node in the last exchange, as in the report's table; shares are NaN where they are not known."""

    node: int
    threshold: float
    auc: float
    labelled: int
    labelled_inside: float
    trained_on: int
    trained_inside: float
    accuracy: float
    agreement: float
    tv_before: float
    tv_after: float


HEADER = (
    *("node", "threshold", "detector AUC", "labelled", "in distribution", "trained on", "in distribution"),
    *("label accuracy", "agreement", "TV before", "TV after"),
)


def sections(settings: IDKDSettings, record: FinishedRun) -> Sequence[Section]:
    """One section on the last exchange that was completed; none before."""
    artifacts = record.artifacts("idkd")
    if not artifacts:
        return ()
    last = max(artifact.round for artifact in artifacts)
    partition = record.partition()
    found = {(m.node, m.name): m.value for m in record.metrics() if m.round <= last}  # the last value stays
    rows = [_row(a, found, partition) for a in artifacts if a.round == last]
    inside = partition["public_in_distribution"]
    mixed = 0 < inside.mean() < 1  # otherwise there is nothing for the detector to tell apart
    curves = [a for a in record.artifacts("idkd_detector") if a.round <= last]
    latest = {a.node: a for a in sorted(curves, key=lambda a: a.round)}.values()
    return [
        Section(
            "In-distribution knowledge distillation",
            _paragraphs(settings, last),
            _verdict(rows, inside),
            (Table(HEADER, rows), disclosed(settings)),
            (*((_chart_of_labels(rows, last),) if mixed else ()), _chart_of_distances(rows), *_chart_of_rocs(latest)),
        )
    ]


def disclosed(settings: IDKDSettings) -> Table:
    """What this run's extra messages reveal, and to whom."""
    used = {"always", "hops" if settings.hops > 1 else "", "official" if settings.merge == "official" else ""}
    whom = "neighbours" if settings.hops == 1 else f"all nodes within {settings.hops} links"
    if settings.labels == "forwarded":
        further = "1 link" if settings.hops == 1 else f"{settings.hops} links"
        whom += f"; merged with others' labels, to nodes {further} further with every exchange"
    rows = [(part, text, whom) for when, part, text in DISCLOSURES if when in used]
    return Table(("part of the messages", "what it reveals of a node", "to whom"), rows)


def _row(artifact: Artifact, found: Mapping[tuple[int | None, str], float], partition: Arrays) -> ExchangeRow:
    inside, truth = partition["public_in_distribution"], partition["public_labels"]
    labelled, trained_on = artifact.arrays["labelled"], artifact.arrays["trained_on"]
    known = truth[trained_on] >= 0
    return ExchangeRow(
        artifact.node,
        found.get((artifact.node, "idkd/threshold"), nan),
        found.get((artifact.node, "idkd/detector_auc"), nan),
        len(labelled),
        _share(inside[labelled]),
        len(trained_on),
        _share(inside[trained_on]),
        _share(artifact.arrays["trained_as"][known] == truth[trained_on][known]),
        found.get((artifact.node, "idkd/agreement"), nan),
        found.get((artifact.node, "idkd/tv_before"), nan),
        found.get((artifact.node, "idkd/tv_after"), nan),
    )


def _share(mask: NDArray[Any]) -> float:
    return float(mask.mean()) if len(mask) else nan


def _paragraphs(settings: IDKDSettings, last: int) -> tuple[str, ...]:
    forwarded = (
        "Labels are forwarded: from a node's second exchange on, what it labelled below is what it passed on, the "
        "merged labels it trained on before. Thresholds and detectors are those of the exchange that it last used them "
        "in."
    )
    return (
        f"The last exchange ended in round {last}. Each node labelled the public samples that its detector let pass "
        "and trained on what it and the nodes in reach had labelled, one merged label a sample. Whether a sample truly "
        "comes from the private distribution, and its true class, are known to this report only, never to a node.",
        "Agreement: of two nodes that labelled the same sample, how often both say the same class. TV: total variation "
        "distance to uniform of the classes that the node trains on, without the labelled samples and with them, each "
        "counted with the probabilities of its label.",
        *((forwarded,) if settings.labels == "forwarded" else ()),
    )


def _verdict(rows: Sequence[ExchangeRow], inside: NDArray[np.bool_]) -> str:
    base, labelled = float(inside.mean()), sum(row.labelled for row in rows)
    text = f"IDKD: nodes labelled {labelled / len(rows):.0f} of {len(inside)} public samples each (mean)"
    if 0 < base < 1 and labelled:
        precision = sum(row.labelled * row.labelled_inside for row in rows if row.labelled) / labelled
        text += f"; {precision:.1%} of these are truly in distribution, against {base:.1%} if everything were labelled"
    before, after = (float(np.mean(values)) for values in zip(*((r.tv_before, r.tv_after) for r in rows), strict=True))
    return f"{text}; the classes that a node trains on went from {before:.2f} to {after:.2f} away from uniform (TV)."


def _chart_of_labels(rows: Sequence[ExchangeRow], last: int) -> BarChart:
    series = {
        "in distribution": [row.labelled * row.labelled_inside if row.labelled else 0.0 for row in rows],
        "out of distribution": [row.labelled * (1 - row.labelled_inside) if row.labelled else 0.0 for row in rows],
    }
    title = f"Public samples labelled by each node in the exchange that ended in round {last}"
    return BarChart(title, [str(row.node) for row in rows], series, "samples")


def _chart_of_distances(rows: Sequence[ExchangeRow]) -> BarChart:
    return BarChart(
        "How far the classes that each node trains on are from uniform",
        [str(row.node) for row in rows],
        {"private samples": [row.tv_before for row in rows], "with labelled ones": [row.tv_after for row in rows]},
        "TV distance",
    )


def _chart_of_rocs(curves: Iterable[Artifact]) -> tuple[LineChart, ...]:
    """The detectors of the nodes with the smallest, the median and the largest area."""
    ordered = sorted(curves, key=lambda a: float(np.trapezoid(a.arrays["true_rate"], a.arrays["false_rate"])))
    if not ordered:
        return ()
    chosen = {"worst": ordered[0], "median": ordered[len(ordered) // 2], "best": ordered[-1]}
    lines = {f"{which}, node {a.node}": (a.arrays["false_rate"], a.arrays["true_rate"]) for which, a in chosen.items()}
    title = "The detector on private validation samples against public ones"
    return (LineChart(title, "public samples let pass", "validation samples let pass", lines),)
