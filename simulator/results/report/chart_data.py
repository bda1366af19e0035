"""Typed charts as plain data, from which ``assets/charts.js`` draws them where scripts run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from simulator.core.report import BarChart, Chart, GraphChart, HeatMap, ImageGrid, LineChart, Measured
from simulator.results.formatting import names_of
from topologies import positions

DIGITS = 6  # significant: more than anyone sees
MOST_NODES = 400  # of a graph: of more, the picture is all there is
MOST_CELLS = 10_000  # of a heat map, likewise: browsers are slow with more


def chart_data(chart: Chart) -> dict[str, Any] | None:
    """What a script needs to draw ``chart``; None where the picture is all there is."""
    match chart:
        case LineChart():
            return _lines(chart)
        case BarChart():
            series = [{"name": name, "values": _numbers(values)} for name, values in chart.series.items()]
            return {"kind": "bars", "title": chart.title, "y": chart.y_label, "categories": [*chart.categories]} | {
                "series": series
            }
        case HeatMap():
            return _heat_map(chart) if chart.values.size <= MOST_CELLS else None
        case GraphChart():
            return _graph(chart) if chart.topology.num_nodes <= MOST_NODES else None
        case ImageGrid():
            return None


def as_json(data: Mapping[str, Any]) -> Markup:
    """``data`` as JSON to stand in a script element: nothing in it can end that, or begin another."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _lines(chart: LineChart) -> dict[str, Any]:
    series = [
        {"name": name, "x": _numbers(x), "y": _numbers(y)}
        | ({"names": [*chart.names[name]]} if name in chart.names else {})
        for name, (x, y) in chart.series.items()
    ]
    bands = [
        {"name": band.label, "of": band.of}
        | {"x": _numbers(band.x), "low": _numbers(band.low), "high": _numbers(band.high)}
        for band in chart.bands
    ]
    labels = {"title": chart.title, "x": chart.x_label, "y": chart.y_label}
    return {"kind": "lines", **labels, "log": chart.log, "points": chart.points, "series": series, "bands": bands}


def _heat_map(chart: HeatMap) -> dict[str, Any]:
    return {
        "kind": "heat",
        "title": chart.title,
        "x": chart.x_label,
        "y": chart.y_label,
        "rows": [*chart.rows],
        "columns": [*chart.columns],
        "values": [_numbers(row) for row in chart.values],
        "label": chart.label,
        "lowest": chart.lowest,
        "levels": [*chart.levels],
    }


def _graph(chart: GraphChart) -> dict[str, Any]:
    topology = chart.topology
    x, y = positions(topology).T
    known = [] if chart.values is None else [Measured(chart.label, (), np.array([chart.values], dtype=np.float64))]
    plain = Measured("neighbours", (), topology.degrees[None].astype(np.float64))
    return {
        "kind": "graph",
        "title": chart.title,
        "names": names_of(topology.labels),
        "x": _numbers(x),
        "y": _numbers(y),
        "directed": topology.graph.is_directed(),
        "attackers": sorted(chart.attackers),
        "links": [list(link) for link in chart.links or sorted(topology.graph.edges())],
        "nodes": [_measured(each) for each in chart.at_nodes or known or [plain]],
        "weights": [_measured(each) for each in chart.on_links],
    }


def _measured(each: Measured) -> dict[str, Any]:
    rows = [_numbers(row) for row in each.values]
    return {"name": each.label, "rounds": [int(round) for round in each.rounds], "values": rows} | (
        {"notes": [*each.notes]} if each.notes else {}
    )


def _numbers(values: Iterable[float] | NDArray[Any] | Sequence[float]) -> list[float | int | None]:
    """Numbers as short as they can be; None where there is none."""
    return [_number(float(value)) for value in values]


def _number(value: float) -> float | int | None:
    short = float(f"{value:.{DIGITS}g}")
    return None if not isfinite(value) else int(short) if short.is_integer() and abs(short) < 2**53 else short
