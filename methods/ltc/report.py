"""What LTC has to say in the report of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import nan
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from methods.ltc.class_means import JudgedBy
from methods.ltc.correlation import noise_floor
from methods.ltc.settings import LTCSettings
from simulator.core.report import Artifact, Chart, FinishedRun, HeatMap, ImageGrid, LineChart, Section, Table
from simulator.core.samples import Samples
from simulator.results.formatting import percent

Arrays = Mapping[str, NDArray[Any]]
Floats = NDArray[np.float64]
BINS = 40
SHOWN = 12  # images at either end
HEADER = ("node", "samples", "points a score", "noise floor", "above the floor", "below minus the floor", "kept")


class CoresetRow(NamedTuple):
    """One node, as in the report's table."""

    node: int
    samples: int
    points: float
    floor: float
    aligned: float
    conflicting: float
    kept: float


def sections(settings: LTCSettings, record: FinishedRun) -> Sequence[Section]:
    """One section; none before there are scores."""
    nodes = record.artifacts("scores")
    if not nodes:
        return ()
    every = {name: np.concatenate([node.arrays[name] for node in nodes]) for name in ("score/ltc", "kept", "label")}
    rows, partition = [_row(node) for node in nodes], record.partition()
    names = [str(name) for name in partition["class_names"]]
    tables = [Table(HEADER, rows), *_fallbacks(nodes, names)]
    charts = [_histogram(every["score/ltc"], rows), _by_class(nodes, names), *_grids(nodes, names)]
    paragraphs = [*_paragraphs(settings, nodes), *_flipped(every["score/ltc"], partition)]
    return [Section("Coreset from loss trajectories", paragraphs, _verdict(settings, rows, every), tables, charts)]


def shown(score: Floats, samples: Samples, *, with_images: bool) -> dict[str, NDArray[Any]]:
    """Of a node's samples those of lowest and highest ``score`` (float64 [N]), with their images: for the artifact.

    ``shown`` is int64 [S], their places from the lowest score on, and ``shown_images`` uint8 [S, height, width,
    channels], where samples are images.
    """
    order = np.argsort(score, kind="stable")[: int((~np.isnan(score)).sum())]
    places = order if len(order) <= 2 * SHOWN else np.concatenate([order[:SHOWN], order[-SHOWN:]])
    images = {"shown_images": samples.images_at(torch.from_numpy(places)).cpu().numpy()} if with_images else {}
    return {"shown": places, **images}


def _row(node: Artifact) -> CoresetRow:
    score, points = node.arrays["score/ltc"], float(node.arrays["points"].mean())
    floor = noise_floor(points) if points >= 2 else nan
    aligned, conflicting = float((score > floor).mean()), float((score < -floor).mean())
    return CoresetRow(node.node, len(score), points, floor, aligned, conflicting, float(node.arrays["kept"].mean()))


def _paragraphs(settings: LTCSettings, nodes: Sequence[Artifact]) -> Iterator[str]:
    what = "changes of its loss" if settings.trajectory == "differences" else "its loss"
    yield (
        f"A sample's score is the correlation of {what} from checkpoint to checkpoint with that of the mean loss of "
        f"validation samples of its class, over {settings.after or nodes[0].round} rounds. The noise floor is the "
        "standard deviation that scores of unrelated trajectories of this length have, 1 / sqrt(points - 1): of such, "
        "16 % lie above it and 16 % below minus the floor."
    )
    if settings.use == "drop":
        yield "Kept: samples that do not have a negative score. Training went on with these."
    else:
        by = f"{settings.score}, {settings.prefer} scores first, classes {settings.per_class}"
        rest = "Training went on with these." if settings.use == "coreset" else "Training went on with all."
        yield f"Kept: the coreset of {percent(settings.share)} by {by}. {rest}"
    unscored = sum(int(np.isnan(node.arrays["score/ltc"]).sum()) for node in nodes)
    if unscored:
        yield f"{unscored:,} samples were seen at too few checkpoints to have a score."


def _flipped(score: Floats, partition: Arrays) -> Iterator[str]:
    """Whether negative scores are those of wrong labels, which the report knows and no node does."""
    from sklearn.metrics import roc_auc_score  # takes a second to import, and a run starts without it

    known = ~np.isnan(score)
    flipped = partition.get("train_flipped", np.zeros(len(score), dtype=bool))[known]
    if 0 < flipped.sum() < len(flipped):
        area = roc_auc_score(flipped, -score[known])
        yield f"Low scores find the {flipped.sum():,} wrong labels among these samples with an AUROC of {area:.3f}."


def _verdict(settings: LTCSettings, rows: Sequence[CoresetRow], every: Arrays) -> str:
    floor = float(np.nanmean([row.floor for row in rows])) if any(row.points >= 2 for row in rows) else nan
    aligned, conflicting = (float((sign * every["score/ltc"] > floor).mean()) for sign in (1, -1))
    kept = {"report": "would keep", "coreset": "kept", "drop": "kept"}[settings.use]
    return (
        f"LTC: {percent(aligned)} of the training samples are aligned with the validation samples of their class by "
        f"more than the noise floor of {floor:.2f}, and {percent(conflicting)} conflict by more; nodes {kept} "
        f"{percent(float(every['kept'].mean()))}."
    )


def _fallbacks(nodes: Sequence[Artifact], names: Sequence[str]) -> Iterator[Table]:
    """Nodes without validation samples of a class that they train on, by what they judged it by."""
    rows: list[tuple[str | int, ...]] = []
    for label, name in enumerate(names):
        sources = [node.arrays["sources"][label] for node in nodes if (node.arrays["label"] == label).any()]
        by = [sources.count(source) for source in (JudgedBy.OWN, JudgedBy.NEIGHBOURS, JudgedBy.NODE)]
        rows += [(name, *by)] if by[1] or by[2] else []
    if rows:
        yield Table(("class", "nodes with own validation samples", "by the neighbours'", "by all of the node's"), rows)


def _histogram(score: Floats, rows: Sequence[CoresetRow]) -> LineChart:
    """Of all samples, beside what unrelated trajectories would give."""
    edges = np.linspace(-1, 1, BINS + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    found = np.histogram(score, edges)[0]
    series = {"samples": (middles, found / max(1, found.sum()))}
    floor = float(np.nanmean([row.floor for row in rows])) if found.sum() else nan
    if floor < 1:
        density = np.exp(-(middles**2) / (2 * floor**2))
        series["unrelated trajectories, about"] = (middles, density / density.sum())
    return LineChart("How scores are spread", "score", "share of samples", series)


def _by_class(nodes: Sequence[Artifact], names: Sequence[str]) -> HeatMap:
    held = np.stack([np.bincount(n.arrays["label"], minlength=len(names)) for n in nodes], axis=1)
    kept = [np.bincount(n.arrays["label"][n.arrays["kept"]], minlength=len(names)) for n in nodes]
    share = np.divide(np.stack(kept, axis=1), held, where=held > 0, out=np.full(held.shape, nan))
    return HeatMap(
        "Share of each class that is kept", "node", "class", share, names, [str(n.node) for n in nodes], "share"
    )


def _grids(nodes: Sequence[Artifact], names: Sequence[str]) -> Iterator[Chart]:
    """The most aligned and the most conflicting samples of all nodes."""
    if any("shown_images" not in node.arrays for node in nodes):
        return
    at = [node.arrays["shown"] for node in nodes]
    score = np.concatenate([node.arrays["score/ltc"][rows] for node, rows in zip(nodes, at, strict=True)])
    label = np.concatenate([node.arrays["label"][rows] for node, rows in zip(nodes, at, strict=True)])
    images = np.concatenate([node.arrays["shown_images"] for node in nodes])
    if not len(score) or images.shape[-1] not in (1, 3):
        return
    order = np.argsort(score, kind="stable")
    for title, places in (
        ("Most aligned with the validation set", order[::-1][:SHOWN]),
        ("Most in conflict with the validation set", order[:SHOWN]),
    ):
        captions = [f"{names[label[place]]}\n{score[place]:+.2f}" for place in places]
        yield ImageGrid(title, images[places], captions)
