"""Nodes that lied: who they were, what honest nodes made of their messages, and how these fared near them and far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

import numpy as np

from simulator.core.report import LineChart, Table
from simulator.results.formatting import nodes_named, percent, significant
from simulator.results.report.chapter import Chapter
from simulator.results.report.charts import chart_picture
from simulator.results.run_directory import RunDirectory


def sentences(run: RunDirectory) -> Iterator[str]:
    """What has to be known before any figure is read, where nodes lied."""
    if not run.attackers:
        return
    said = "; ".join(f"{nodes_named(block['nodes'])} by {_described(block)}" for block in run.experiment["adversaries"])
    yield f"In this network nodes lied: {said}. All that is said of its accuracy and agreement is said of the others."
    weight = _last(run, "attack/weight")
    if isfinite(weight):
        largest = _last(run, "attack/largest_weight")
        yield (
            f"Attackers had a weight of {percent(weight)} in an honest node's mixing, over the rounds since the "
            f"evaluation before; at the node and in the round in which it was most, {percent(largest)}."
        )


def chapters(run: RunDirectory) -> Iterator[Chapter]:
    """The chapter on attackers, where there were any."""
    if not run.attackers:
        return
    headline = run.headline
    far = _by_distance(run)
    by_distance = [(links, float(values[-1])) for links, (_, values) in far.items()]
    tables = [
        Table(("links to the nearest attacker", f"test {headline.label}"), by_distance),
        Table(("messages of", "dropped, %", "reduced, %"), list(_made_of_messages(run))),
    ]
    refused = _last(run, "attack/refused")
    text = (
        "A message is dropped where mixing gave it no weight, and reduced where it gave it less than the mixing matrix "
        f"does. Since the evaluation before, an honest node refused {significant(refused, 3)} messages, in the mean "
        "over nodes, since they were no models; it weighed itself in their place. Mixing moved the mean of the honest "
        "nodes by "
        f"{significant(_last(run, 'honest/drift'), 3)} in the last round."
    )
    series = {f"{links} links away" if links > 1 else "next to one": curve for links, curve in far.items()}
    chart = LineChart(
        f"Honest nodes by distance to an attacker: test {headline.words}", "round", f"test {headline.label}", series
    )
    yield Chapter("Attackers", (text,), [chart_picture("attackers", chart)], [table for table in tables if table.rows])


def _made_of_messages(run: RunDirectory) -> Iterator[tuple[str, float, float]]:
    """The shares of messages, of attackers and of honest neighbours, that mixing dropped and reduced."""
    for who, name in (("attackers", "attack"), ("honest neighbours", "honest")):
        dropped, reduced = (100 * _last(run, f"{name}/{what}") for what in ("dropped", "reduced"))
        if isfinite(dropped):
            yield who, dropped, reduced


def _by_distance(run: RunDirectory) -> dict[int, tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    """Rounds and headline scores of honest nodes, by how many links they are away from the nearest attacker."""
    headline, found = run.headline, {}
    for links in range(1, run.topology.num_nodes):
        rounds, values = run.network_series(f"{headline.of_node}/at_distance_{links}")
        if len(rounds):
            found[links] = (rounds.astype(np.float64), headline.scale * values)
    return found


def _described(block: Mapping[str, Any]) -> str:
    """What a block of attackers does, in words."""
    attack = block["attack"]
    settings = ", ".join(f"{key} {value}" for key, value in attack.items() if key != "name")
    since = f" from round {block['from_round']} on" if block["from_round"] > 1 else ""
    return f"{attack['name']}{f' ({settings})' if settings else ''}{since}, {block['knowledge']}"


def _last(run: RunDirectory, name: str) -> float:
    _, values = run.network_series(name)
    return float(values[-1]) if len(values) else float("nan")
