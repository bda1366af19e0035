"""The section of a run's report that the audit of class shares brings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import nan
from typing import Any

import numpy as np

from auditing.attackers import honest_numbers, told
from auditing.class_shares.attackers import ATTACKERS
from auditing.class_shares.meaning import UNINFORMED, meaning
from simulator.core.report import BarChart, LineChart, Section, Table
from simulator.results.formatting import MISSING, fixed, percent

Result = Mapping[str, Any]
Measured = Mapping[str, Sequence[float | None]]  # by measure, a figure a node

HEADER = ("attacker", "what it knows", "distance (TV)", "rank correlation", "largest class found", "nodes")


def section(result: Result) -> Section:
    """The section on ``result``, the content of ``result.json``."""
    attackers = {name: found for name, found in result["attackers"].items() if _known(found["all"]["tv"])}
    rows = [_row(name, found["all"]) for name, found in attackers.items()]
    return Section(
        "Class shares: which classes a node holds",
        [*_paragraphs(result["rounds"], attackers), *told(result)],
        _verdict(attackers),
        [Table(HEADER, rows)],
        [_by_round(result["rounds"], attackers), _by_node(attackers, honest_numbers(result, len(result["truth"])))],
        meaning(result, {name: _mean(found["all"]["largest_class"]) for name, found in attackers.items()}),
    )


def _verdict(attackers: Mapping[str, Result]) -> str:
    found = {name: percent(_mean(each["all"]["largest_class"])) for name, each in attackers.items()}
    told = ", ".join(f"by its {name} for {share}" for name, share in found.items() if name not in UNINFORMED)
    return f"A node's largest class is found {told or 'by nothing that was sent'} of nodes; by guessing for " + (
        f"{found['nothing']}."
    )


def _paragraphs(rounds: Sequence[int], attackers: Mapping[str, Result]) -> Iterator[str]:
    when = f"round {rounds[0]}" if len(rounds) == 1 else f"{len(rounds)} recorded rounds, the mean of one estimate each"
    yield (
        f"Attackers estimate the class shares of each node's training set from parts of its messages, here those of "
        f"{when}. Distance: half the sum of absolute differences between estimate and truth, 0 for the truth. Rank "
        "correlation: Spearman's, over classes. Means over nodes, with standard deviations."
    )
    if "labels" not in attackers:
        yield "No labels of public samples were sent in these rounds."


def _row(name: str, measured: Measured) -> tuple[str, str, str, str, str, int]:
    distance, correlation = (_with_deviation(measured[each]) for each in ("tv", "rank_correlation"))
    largest = percent(_mean(measured["largest_class"]))
    return name, ATTACKERS[name].knows, distance, correlation, largest, len(_known(measured["tv"]))


def _with_deviation(values: Sequence[float | None]) -> str:
    known = _known(values)
    return f"{fixed(float(np.mean(known)), 2)} ± {fixed(float(np.std(known)), 2)}" if known else MISSING


def _mean(values: Sequence[float | None]) -> float:
    known = _known(values)
    return float(np.mean(known)) if known else nan


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _by_round(rounds: Sequence[int], attackers: Mapping[str, Result]) -> LineChart:
    series = {}
    for name, found in attackers.items():
        means = np.array([_mean(each["tv"]) for each in found["by_round"]])
        there = np.isfinite(means)
        series[name] = np.array(rounds, dtype=np.float64)[there], means[there]
    title = "How far estimates from one round are from the truth, mean over nodes"
    return LineChart(title, "round", "TV distance", series, points=len(rounds) == 1)


def _by_node(attackers: Mapping[str, Result], victims: Sequence[int]) -> BarChart:
    series = {
        name: [nan if value is None else value for value in found["all"]["tv"]]
        for name, found in attackers.items()
        if name != "mean model"
    }
    title = "How far estimates from all rounds are from the truth"
    return BarChart(title, list(map(str, victims)), series, "TV distance")
