"""The section of a run's report that an audit of memorization brings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditing.attackers import told
from auditing.memorization.meaning import meaning
from auditing.memorization.shown import EVERYONE, Shown
from simulator.core.report import Chart, HeatMap, ImageGrid, LineChart, Section, Table
from simulator.results.formatting import percent, significant

Result = Mapping[str, Any]
Arrays = Mapping[str, NDArray[Any]]
BINS = 40


def section(result: Result, arrays: Arrays) -> Section:
    """The section on ``result``, the content of ``result.json``, and ``arrays``, that of ``scores.npz``."""
    return Section(
        "Audit: memorization",
        list(_paragraphs(result)),
        " ".join(_verdicts(result)),
        list(_tables(result)),
        list(_charts(result, arrays)),
        meaning(result),
    )


def _verdicts(result: Result) -> Iterator[str]:
    main = result["scores"][0]
    for kind, found in result["detection"].items():
        auroc = {name: each["pooled"] for name, each in found["scores"].items()}
        best = max(auroc, key=lambda name: auroc[name]["value"])
        rival = f"; the best of {len(auroc)} scores, {best}, with {_shown(auroc[best])}" if best != main else ""
        share = percent(found["number"] / result["samples"])
        with_auroc = f"with an AUROC of {_shown(auroc[main])}{rival}"
        yield f"The {main} finds {kind}, {share} of the training samples, {with_auroc}."


def _paragraphs(result: Result) -> Iterator[str]:
    yield (
        f"Scores of {result['samples']:,} training samples after {result['round']} rounds, each by the models of the "
        "node that trains on it: the higher, the less other samples help with this one, so it is learned by heart, or "
        "not at all. "
        f"Figures show the {result['scores'][0]}."
    )
    yield from told(result)
    if result["unknown"]:
        yield (
            f"{result['unknown']:,} training samples have no score, since they were never seen in training, or all "
            "replicas were trained on them, or none was; they are left out."
        )
    kinked = [name for name in result["scores"] if name.startswith("mean ") and f"median{name[4:]}" in result["scores"]]
    if kinked:
        yield (
            f"The {' and '.join(kinked)} takes finite differences, which jump where a ReLU or max pooling switches: "
            "few samples can have most of its sum. Its rank, its median over checkpoints and the trimmed mean over "
            "samples are robust to that; curvature_frobenius and curvature_trace are exact for such networks."
        )
    if result["detection"]:
        yield (
            "AUROC is the probability that a sample to be found has a higher score than a clean one. In brackets: 95 % "
            "intervals of a bootstrap over samples; they do not cover other seeds. In the table, all nodes' samples "
            "share one ranking, so differences between their models count too."
        )
    if len(result["scores"]) > 1:
        yield (
            "Two scores agree as far as they rank samples alike: Spearman. Pearson weighs the largest values, and the "
            "cosine of scores that are never negative is high even for unrelated ones, so it says little."
        )


def _tables(result: Result) -> Iterator[Table]:
    detected, scores, agreement = result["detection"], result["scores"], result["agreement"]
    if "levels" in result:  # older results have none
        names = list(next(iter(result["levels"].values())))
        levels = [(name, *(_number(found[each]) for each in names)) for name, found in result["levels"].items()]
        yield Table(("score, over samples", *names), levels)
    if detected:
        rows = [(name, *(_shown(found["scores"][name]["pooled"]) for found in detected.values())) for name in scores]
        yield Table(("score", *(f"AUROC, {kind}" for kind in detected)), rows)
    if len(scores) > 1:
        ranks = [(name, *map(_number, row)) for name, row in zip(scores, agreement["spearman"], strict=True)]
        yield Table(("Spearman", *scores), ranks)
        other = {measure: rows[0] for measure, rows in agreement.items() if measure != "spearman"}
        rows = [(name, *(_number(row[at]) for row in other.values())) for at, name in enumerate(scores) if at]
        yield Table((f"beside {scores[0]}", *(measure.capitalize() for measure in other)), rows)


def _charts(result: Result, arrays: Arrays) -> Iterator[Chart]:
    yield _histogram(result, arrays)
    for kind in result["detection"]:
        yield _by_node(kind, result)
    yield from _grids(result["scores"][0], arrays)


def _histogram(result: Result, arrays: Arrays) -> LineChart:
    """Of clean samples and of each kind of wrong ones; every line adds up to 1."""
    name = result["scores"][0]
    kinds = ["clean" if result["detection"] else "all", *result["detection"]]
    edges = np.linspace(arrays[name].min(), arrays[name].max(), BINS + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    counts = [np.histogram(arrays[name][arrays["wrong"] == number], edges)[0] for number in range(len(kinds))]
    series = {kind: (middles, count / count.sum()) for kind, count in zip(kinds, counts, strict=True)}
    return LineChart("How scores are spread", name, "share of samples", series)


def _by_node(kind: str, result: Result) -> HeatMap:
    scores = result["detection"][kind]["scores"].values()
    values = np.array([list(map(_number, found["nodes"])) for found in scores])
    nodes = list(map(str, range(values.shape[1])))  # the last ones may have no samples
    return HeatMap(f"Finding {kind}, by node", "node", "score", values, result["scores"], nodes, "AUROC", lowest=0.5)


def _grids(name: str, arrays: Arrays) -> Iterator[ImageGrid]:
    if "shown_images" not in arrays:
        return
    shown = Shown.read(arrays)
    for group in np.unique(shown.group):
        of = shown.group == group
        whose = "of all nodes" if group == EVERYONE else f"of node {group}"
        captions = [_caption(name, arrays, at, group == EVERYONE) for at in shown.position[of]]
        yield ImageGrid(f"Most memorized {whose}: {name}", shown.images[of], captions)


def _caption(name: str, arrays: Arrays, at: int, with_node: bool) -> str:
    given, true = (arrays[which][at] for which in ("label", "true_label"))
    names = [arrays["class_names"][given]] if given >= 0 else []
    truly = [f"truly {arrays['class_names'][true]}"] if given != true else []
    whose = [f"node {arrays['node'][at]}"] if with_node else []
    return "\n".join([*names, *truly, significant(arrays[name][at], 3), *whose])


def _number(value: float | None) -> float:
    return nan if value is None else value


def _shown(estimate: Mapping[str, float]) -> str:
    return f"{estimate['value']:.3f} [{estimate['low']:.3f},\N{NO-BREAK SPACE}{estimate['high']:.3f}]"
