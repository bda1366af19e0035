"""The section of a run's report on network differential privacy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from auditing.network_privacy.meaning import meaning
from simulator.core.report import HeatMap, LineChart, Section, Table

Result = Mapping[str, Any]
RELATIONS = {"add_remove": "whether it contributes or not", "replace": "what it contributes"}


def section(result: Result) -> Section:
    """The section on ``result``, the content of ``result.json``."""
    return Section(
        "Audit: network privacy",
        list(_paragraphs(result)),
        _verdict(result),
        [_table(result)],
        (_chart(result), _matrix(result)),
        meaning(result),
    )


def _verdict(result: Result) -> str:
    near, far = result["by_distance"][0], result["by_distance"][-1]
    text = f"A node's contributions are private against a neighbour with epsilon {near['largest']:.3g}"
    distant = f", against a node at distance {far['distance']} with {far['largest']:.3g}"
    everything = f"against a node that sees all messages with {result['all_messages']:.3g}"
    delta = result["settings"]["delta"]
    return f"{text}{distant if far['distance'] > 1 else ''}, {everything} (delta {delta:g})."


def _paragraphs(result: Result) -> Iterator[str]:
    noise, together = result["noise"], result["noise"].get("together")
    own = " to ".join(dict.fromkeys(f"{noise['noise_multipliers'][end]:.3g}" for end in (0, -1)))
    shared = noise["correlated_multiplier"]
    pairs = f", and {shared:g} times of what each two neighbours cancel" if shared else ""
    steps = f" and step, {noise['steps']} steps a round" if noise["steps"] > 1 else ""
    yield (
        f"{result['rounds']} rounds; noise of {own} times the clipping norm a round{steps}"
        f"{pairs}: {'declared by ' + noise['source'] if noise['source'] else 'assumed, for the run trained without'}. "
        f"Protected is what a node adds to its model: {RELATIONS[result['settings']['relation']]}, in all rounds. For "
        "DP-SGD this is one sample in every batch, without amplification by subsampling; the epsilon of a node's own "
        "accountant, where it is lower, holds against everyone."
    )
    kept = "the weighted sums of the masked messages" if result.get("single_messages") else "all messages"
    yield (
        f"An observer is a node that keeps {kept} it receives and knows its own noise and all weights. Epsilon is "
        "that of the joint Gaussian law of all it sees, for contributions of others that are given. Gradients depend "
        "on the models; a node that reacts to them may pass on more of another than is accounted here."
        + ("" if together else " Epsilon against a node that sees all messages holds in any case.")
    )
    if together:
        yield (
            f"The noise is another one for each receiver, and all of it cancels in the mean. All receivers of a node "
            f"together estimate what it sent in a round to within {together:.3g} clipping norms, and as nodes' own "
            "models keep no noise, every later message tells of it again: epsilon grows faster than with any noise "
            "that stays. Against those, and for updates that react to models, nothing else is promised."
        )
    if result.get("single_messages"):
        yield (
            "What single messages would tell is beside it. They tell it to a node that makes common cause with all of "
            "its neighbours but one; against a node that sees all messages no mask is counted on."
        )
    if result["memory"]:
        yield (
            f"Updates also reach later messages by what nodes remember ({', '.join(result['memory'])}), which is "
            "followed exactly."
        )
    if result["block"]:
        yield (
            f"To save time, observers are told all models every {result['block']} rounds, so these are upper bounds, "
            "and far above the exact values for distant nodes."
        )
    if result["published"]:
        yield (
            "The published formula (Muffliato, arXiv:2206.05091) adds up what each message says by itself, at most "
            "what all messages say; here it is turned into epsilon in the same way."
        )
    for graph in result["left_out"]:
        yield f"Not compared with {graph}"


def _table(result: Result) -> Table:
    beside = {"published": result["published"], "single messages": result.get("single_messages")}
    beside = {name: found for name, found in beside.items() if found}
    header = ["distance", "pairs", "epsilon, mean", "epsilon, largest", *(f"{name}, largest" for name in beside)]
    rows = [[at["distance"], at["pairs"], at["mean"], at["largest"]] for at in result["by_distance"]]
    for found in beside.values():
        for row, at in zip(rows, found, strict=False):
            row.append(at["largest"])
    return Table(header, rows)


def _chart(result: Result) -> LineChart:
    """The largest epsilon at each distance; what is 0 has no place on the logarithmic axis."""
    beside = {"published formula": result["published"] or [], "single messages": result.get("single_messages") or []}
    lines = {"this run": result["by_distance"], **beside, **result["graphs"]}
    series = {}
    for name, found in lines.items():
        shown = [(at["distance"], at["largest"]) for at in found if at["largest"] > 0]
        if shown:
            x, y = np.array(shown, dtype=np.float64).T
            series[name] = (x, y)
    return LineChart("Epsilon by distance", "hops from node to observer", "epsilon, largest", series, "y")


def _matrix(result: Result) -> HeatMap:
    values = np.array(result["epsilon"], dtype=np.float64)
    names = [str(node) for node in range(len(values))]
    return HeatMap("Epsilon from node to node", "observer", "node", values, names, names, "epsilon")
