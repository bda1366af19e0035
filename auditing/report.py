"""The section of a run's report that an audit of membership brings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from simulator.core.report import HeatMap, LineChart, Section, Table
from simulator.results.formatting import MISSING

STATISTICS = {"auc": "AUC", "tpr_at_0.01": "TPR at 1 % FPR", "tpr_at_0.001": "TPR at 0.1 % FPR"}
Result = Mapping[str, Any]


def section(result: Result) -> Section:
    """The section on ``result``, the content of ``result.json``."""
    best = result["attacks"][result["strongest"]]
    return Section(
        "Audit: membership",
        list(_paragraphs(result)),
        _verdict(result, best),
        list(_tables(result)),
        (_roc(result, best), _matrix(result), _by_distance(best)),
    )


def _verdict(result: Result, best: Result) -> str:
    far = _by_hops(best)[-1]
    text = (
        "Whoever holds a node's final model tells its training samples from others of the same pool with an AUC of "
        f"{_shown(best['final model']['auc'])} ({result['strongest']})"
    )
    distant = f"; a node at distance {far['distance']}, with its own model, of {_shown(far['auc'])}"
    return f"{text}{distant if far['distance'] else ''}."


def _paragraphs(result: Result) -> Iterator[str]:
    members, non_members = result["members"], result["non_members"]
    yield (
        f"Models after {result['round']} rounds; {members:,} members and {non_members:,} non-members, each from the "
        "pool of the node that is attacked. An attacker holds that node's final model, is a node at some distance "
        "with its own, or holds the mean of all, and judges all candidates by one threshold. In brackets: 95 % "
        "intervals of a bootstrap over candidates; they do not cover other seeds."
    )
    yield (
        f"With {non_members:,} non-members no FPR below {1 / non_members:.2%} can be told from 0, so rates at a lower "
        "one are not given; they are steady only from about ten times that."
    )
    yield (
        f"The figures show {result['strongest']}: of the attacks asked for, the one with the highest AUC on final "
        "models. It was chosen in hindsight, which flatters it a little. A cell of the matrix rests on the "
        f"{(members + non_members) / result['nodes']:.0f} candidates of one node, and is the less certain for it."
    )


def _tables(result: Result) -> Iterator[Table]:
    """One a statistic: a row for each attack, a column for each view."""
    attacks = result["attacks"]
    for statistic, title in STATISTICS.items():
        cells = {name: [found[statistic] for found in views.values()] for name, views in attacks.items()}
        if any(estimate for row in cells.values() for estimate in row):
            header = (f"{title}: signal, attack", *attacks[result["strongest"]])
            yield Table(header, [(name, *map(_shown, row)) for name, row in cells.items()])


def _roc(result: Result, best: Result) -> LineChart:
    """On logarithmic axes, from the smallest FPR that can be resolved; of the nodes, the nearest and the farthest."""
    fpr, nodes = np.array(result["fpr"]), _by_hops(best)
    shown = {name: found for name, found in best.items() if found in (*nodes[:2], nodes[-1], best["consensus"])}
    curves = {name: np.array(found["tpr"]) for name, found in shown.items()}
    lines = {name: (fpr[tpr > 0], tpr[tpr > 0]) for name, tpr in curves.items()} | {"chance": (fpr, fpr)}
    return LineChart("ROC", "false-positive rate", "true-positive rate", lines, "xy")


def _matrix(result: Result) -> HeatMap:
    names = [str(node) for node in range(result["nodes"])]
    title, values = "Leakage from node to node", np.array(result["matrix"])
    return HeatMap(title, "observer, by its own model", "victim", values, names, names, "AUC", lowest=0.5)


def _by_distance(best: Result) -> LineChart:
    """The AUC of the strongest attack, and the ends of its interval."""
    hops = np.array([found["distance"] for found in _by_hops(best)], dtype=np.float64)
    lines = {"AUC": "value", "interval, low": "low", "interval, high": "high"}
    series = {name: (hops, np.array([found["auc"][key] for found in _by_hops(best)])) for name, key in lines.items()}
    return LineChart("Leakage by distance", "hops from victim to observer", "AUC", series)


def _by_hops(best: Result) -> list[Result]:
    """What the holders of nodes' models find, the nearest first."""
    return [found for found in best.values() if found["distance"] is not None]


def _shown(estimate: Mapping[str, float] | None) -> str:
    if estimate is None:
        return MISSING
    interval = f"[{estimate['low']:.3f},\N{NO-BREAK SPACE}{estimate['high']:.3f}]"
    return f"{estimate['value']:.3f} {interval}"
