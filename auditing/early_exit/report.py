"""The section of a run's report that the account of exits brings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditing.attackers import told
from auditing.early_exit.findings import EQUAL, SINGLE, WISE
from auditing.early_exit.meaning import meaning
from simulator.core.report import BarChart, LineChart, Section, Table
from simulator.results.formatting import MISSING, percent, significant

Result = Mapping[str, Any]
FLATNESS = ("modality", "training loss", "relative Hessian trace")


def section(result: Result) -> Section:
    """The section on ``result``, the content of ``result.json``."""
    tables = [_exits(result), _budgets(result), Table(FLATNESS, _flatness(result))]
    verdict = _verdict(result)
    return Section(
        "WISE: exits weighed",
        list(_paragraphs(result)),
        verdict,
        tables,
        [_costs(result), _weights(result)],
        meaning(result, verdict),
    )


def _verdict(result: Result) -> str:
    last = {name: percent(_mean(result, f"{name}/at")[-1]) for name in (WISE, EQUAL, SINGLE)}
    silent = result["found"].get("weightless", {"mean": [0.0]})["mean"][-1]
    if silent:
        return (
            f"The L1 price of {result['settings']['l1']:g} leaves no exit a weight at {percent(silent)} of the nodes, "
            f"so that WISE tells nothing there; the best single exit is right on {last[SINGLE]} of the test samples."
        )
    return (
        f"Exits weighed together (WISE) are right on {last[WISE]} of the test samples, with equal weights on "
        f"{last[EQUAL]}, and the best single exit on {last[SINGLE]}."
    )


def _paragraphs(result: Result) -> Iterator[str]:
    few, many = min(result["validation"]), max(result["validation"])
    count = str(few) if few == many else f"{few} to {many}"
    yield (
        f"After round {result['round']}; means over {result['nodes']} nodes, each with its own weights, fitted on its "
        f"{count} validation samples with an L1 price of {result['settings']['l1']:g}; which single exit is best was "
        "decided on them too. Accuracies are on the test set."
    )
    yield from told(result)
    yield from _weightless(result)
    yield (
        "A sample passes the exits in the order of the table and leaves at the first one that is sure enough. What it "
        "costs is counted in multiply-accumulate operations (MACs) of convolutions and linear layers, of every stage "
        "and classifier on its way, whether the answer is right or not. A single exit costs its own stream to that "
        "stage and its own classifier."
    )
    yield (
        "Flatness is the trace of the Hessian of a stream's mean training loss at its final exit, with each weight "
        "scaled by its filter: the lower, the flatter. Traces fall with the loss too, so compare at like losses."
    )


def _weightless(result: Result) -> Iterator[str]:
    """Where the price of weights is so high that none pays."""
    shares = result["found"].get("weightless", {"mean": [0.0]})["mean"]
    places = [f"{modality} {stage}" for (modality, stage), share in zip(result["exits"], shares, strict=False) if share]
    if places:
        what = "at all nodes" if min(share for share in shares if share) == 1 else "at some or all nodes"
        yield (
            f"An L1 price of {result['settings']['l1']:g} is more than any exit is worth up to {', '.join(places)}, "
            f"{what}: no exit has a weight there, and WISE names the first class for every sample. Set l1 lower."
        )


def _exits(result: Result) -> Table:
    header = ("modality", "exit", "alone, %", "MACs alone", "with WISE so far, %", "equal weights so far, %",
              "MACs so far", "weight at the end")  # fmt: skip
    columns = [_percents(result, "exits"), result["macs"]["alone"], _percents(result, f"{WISE}/prefix"),
               _percents(result, f"{EQUAL}/prefix"), result["macs"]["passed"], _mean(result, "weights")]  # fmt: skip
    return Table(header, [(*exit, *row) for exit, *row in zip(result["exits"], *columns, strict=True)])


def _budgets(result: Result) -> Table:
    """NaN where even the first exit is beyond the budget."""
    whole = result["macs"]["passed"][-1]
    names = (WISE, EQUAL, SINGLE)
    rows = [
        (f"{share:.0%}, {significant(share * whole)} MACs", *(_shown(value) for value in values))
        for share, *values in zip(result["budgets"], *(_mean(result, f"{name}/at") for name in names), strict=True)
    ]
    return Table(("mean cost of a sample at most", *(f"{name}, %" for name in names)), rows)


def _flatness(result: Result) -> list[tuple[str, float, float]]:
    return [(modality, loss, trace) for modality, (loss, trace) in result["flatness"].items()]


def _costs(result: Result) -> LineChart:
    series = {name: (_floats(result, f"{name}/cost"), _floats(result, f"{name}/accuracy")) for name in (WISE, EQUAL)}
    alone = np.array(result["macs"]["alone"], dtype=np.float64)
    series["single exits"] = (alone, _floats(result, "exits"))
    shown = {name: (x / 1e6, 100 * y) for name, (x, y) in series.items()}
    return LineChart(
        "Accuracy against cost", "mean cost of a sample, million MACs", "test accuracy, %", shown, points=True
    )


def _weights(result: Result) -> BarChart:
    names = [f"{modality} {stage}" for modality, stage in result["exits"]]
    return BarChart("Weights of all exits together", names, {WISE: _mean(result, "weights")}, "weight")


def _mean(result: Result, name: str) -> list[float]:
    found: list[float] = result["found"][name]["mean"]
    return found


def _floats(result: Result, name: str) -> NDArray[np.float64]:
    return np.array(_mean(result, name), dtype=np.float64)


def _percents(result: Result, name: str) -> list[float]:
    return [100 * value for value in _mean(result, name)]


def _shown(share: float | None) -> str | float:
    return MISSING if share is None else 100 * share
