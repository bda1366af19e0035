"""The figures of an audit: the strongest attack by view, node, distance, round, overfitting and degree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.core.report import Band, Chart, GraphChart, HeatMap, LineChart
from simulator.results.formatting import names_of
from topologies import Topology

Result = Mapping[str, Any]
OLDER_GAP = "accuracy on members less that on non-members"  # of results that do not say
NEIGHBOURS = ("message", "distance 1")  # what a neighbour has, the most telling first


def figures(result: Result, topology: Topology) -> Iterator[Chart]:
    """The figures for which ``result``, the content of ``result.json``, has something to show."""
    best = result["attacks"][result["strongest"]]
    yield _roc(result, best)
    if hops(best):
        yield _matrix(result, names_of(topology.labels))
        yield _by_distance(best)
    rounds = {name: found for name, found in result["by_round"].items() if len(found) > 1}
    if rounds:
        yield _by_round(rounds)
    gaps, degrees = np.array(result["gaps"], dtype=np.float64), topology.degrees.astype(np.float64)
    if not np.isnan(gaps).all():
        yield _by_node(result, "Leakage and overfitting", result.get("gap", OLDER_GAP), gaps, topology)
    if len(set(degrees)) > 1:
        yield _by_node(result, "Leakage and degree", "neighbours that the node sends to", degrees, topology)
    for view in [view for view in NEIGHBOURS if None not in result["victims"].get(view, [None])][:1]:
        yield GraphChart("Leakage to neighbours", topology, result["victims"][view], f"AUC, {view}")


def hops(best: Result) -> list[str]:
    """Views of those who hold nothing but a node's final model, the nearest first."""
    return [view for view, found in best.items() if found["distance"] is not None]


def _roc(result: Result, best: Result) -> LineChart:
    """On logarithmic axes, from the smallest FPR that can be resolved; of the nodes, the nearest and the farthest."""
    fpr, near = np.array(result["fpr"]), hops(best)
    chosen = {*near[:2], *near[-1:], "consensus", "message"}
    curves = {view: np.array(found["tpr"]) for view, found in best.items() if view in chosen or len(best) < 6}
    lines = {view: (fpr[tpr > 0], tpr[tpr > 0]) for view, tpr in curves.items()} | {"chance": (fpr, fpr)}
    return LineChart("ROC", "false-positive rate", "true-positive rate", lines, "xy")


def _matrix(result: Result, names: Sequence[str]) -> HeatMap:
    title, values = "Leakage from node to node", np.array(result["matrix"], dtype=np.float64)
    return HeatMap(title, "observer, by its own model", "victim", values, names, names, "AUC", lowest=0.5)


def _by_distance(best: Result) -> LineChart:
    near = [best[view] for view in hops(best)]
    series, band = _interval("AUC", np.array([found["distance"] for found in near]), [found["auc"] for found in near])
    return LineChart("Leakage by distance", "hops from victim to observer", "AUC", {"AUC": series}, bands=[band])


def _by_round(rounds: Mapping[str, Sequence[Result]]) -> LineChart:
    """The AUC of each view, with its interval."""
    found = {
        view: _interval(view, np.array([each["round"] for each in estimates]), estimates)
        for view, estimates in rounds.items()
    }
    series = {view: line for view, (line, _) in found.items()}
    return LineChart("Leakage by round", "round", "AUC", series, bands=[band for _, band in found.values()])


def _by_node(result: Result, title: str, label: str, x: NDArray[np.float64], topology: Topology) -> LineChart:
    """A point for each node: how well it is attacked by its final model, and by a neighbour."""
    first, *_ = result["victims"]
    shown = [view for view in dict.fromkeys((first, *NEIGHBOURS)) if view in result["victims"]][:2]
    series = {view: (x, np.array(result["victims"][view], dtype=np.float64)) for view in shown}
    names = {view: [f"node {name}, {view}" for name in names_of(topology.labels)] for view in shown}
    return LineChart(title, label, "AUC of one victim", series, points=True, names=names)


def _interval(
    name: str, x: NDArray[Any], found: Sequence[Mapping[str, float]]
) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], Band]:
    """The line of that name, and the band of its interval."""
    value, low, high = (np.array([each[key] for each in found], dtype=np.float64) for key in ("value", "low", "high"))
    return (x.astype(np.float64), value), Band(name, x.astype(np.float64), low, high, name)
