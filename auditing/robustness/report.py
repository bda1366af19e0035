"""The section of a run's report that an audit of robustness brings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auditing.attackers import told
from auditing.robustness.meaning import meaning
from auditing.robustness.neighbourhood import CHOSEN
from auditing.robustness.transfer import Fit
from simulator.core.report import HeatMap, LineChart, Section, Table
from simulator.results.formatting import percent

Result = Mapping[str, Any]
Floats = NDArray[np.float64]
THREATS = ("clean", "transfer", "insider", "adaptive")
FINE = 60  # points of a curve


def section(result: Result) -> Section:
    """The section on ``result``, the content of ``result.json``."""
    found = averaged(result)
    return Section(
        "Audit: robustness",
        list(_paragraphs(result, found)),
        _verdict(result, found),
        list(_tables(result, found)),
        [_matrix(result), _fits(result)],
        meaning(result, found[CHOSEN]),
    )


def averaged(result: Result) -> dict[str, dict[str, float]]:
    """Accuracies by ensemble and attacker, over hosts; an ensemble that some host lacks is left out."""
    hosts = [host["accuracies"] for host in result["hosts"]]
    rules = [rule for rule in hosts[0] if all(rule in host for host in hosts)]
    return {rule: {name: float(np.mean([h[rule][name] for h in hosts])) for name in hosts[0][rule]} for rule in rules}


def _verdict(result: Result, found: Mapping[str, Mapping[str, float]]) -> str:
    chosen = found[CHOSEN]
    rivals = {rule: accuracies["adaptive"] for rule, accuracies in found.items() if rule != CHOSEN}
    rival = max(rivals, key=lambda rule: rivals[rule])
    return (
        f"Ensembles of {result['settings']['size']} nodes between which attacks transfer least answer "
        f"{percent(chosen['clean'])} of images rightly, {percent(chosen['transfer'])} after attacks made for a node "
        f"outside, {percent(chosen['insider'])} after those of an insider, and {percent(chosen['adaptive'])} after "
        f"adaptive attacks on themselves, where the best other choice ({rival}) has {percent(rivals[rival])}. An "
        f"attack that goes by the quantizers' own gradients leaves {percent(chosen['naive'])}, which says nothing."
    )


def _paragraphs(result: Result, found: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    settings = result["settings"]
    yield (
        f"{result['images']} test images; no pixel is moved by more than {settings['eps']:.4f} of white (L-infinity). "
        "transfer: attacks made for a node outside of the ensemble. insider: attacks that a neighbour of the node that "
        "asks makes for its own model; the most harmful neighbour counts. adaptive: attacks on the ensemble itself, "
        "with gradients through the quantizers (BPDA). Under each, an image is lost if one attack of the kind succeeds."
    )
    yield (
        "Members were chosen on validation images of the node that asks, by the fits, which are the figure's but for "
        f"the images. Random ensembles: the mean of {settings['draws']}. The best single member is the best of those "
        "chosen, for each column by itself and in hindsight, which flatters it. Only the node's own candidates are "
        "asked, except for the unquantized ensemble, which takes the nearest nodes without a quantizer."
    )
    yield (
        "Transferability of s to t at this strength: the images that an attack on s loses at both over those it loses "
        "at s, from fits of a (1 - exp(b eps)) to a few strengths; for an ensemble, the mean over pairs. The fits of "
        f"the figure miss what was counted by {_misfit(result):.1f} images (root mean square over all pairs)."
    )
    yield from told(result)
    if "unquantized" not in found:
        yield "There are too few nodes without a quantizer for an unquantized ensemble."
    stronger = [rule for rule, a in found.items() if _by_square(a) < _by_gradients(a)]
    if stronger:
        yield (
            f"Square, which uses no gradient, does more harm than every attack by gradients to: {', '.join(stronger)}. "
            "Their gradients mislead, and stronger attacks may leave less."
        )


def _misfit(result: Result) -> float:
    measured = result["transfers"]
    fitted = [[Fit(*fit)(np.array(measured["strengths"])) for fit in row] for row in measured["fits"]]
    return float(np.sqrt(np.mean(np.square(np.moveaxis(np.array(fitted), -1, 0) - np.array(measured["counts"])))))


def _by_square(accuracies: Mapping[str, float]) -> float:
    return accuracies.get("adaptive: square", 1.0)


def _by_gradients(accuracies: Mapping[str, float]) -> float:
    names = [name for name in accuracies if name.startswith("adaptive: ") and name != "adaptive: square"]
    return min((accuracies[name] for name in names), default=1.0)


def _tables(result: Result, found: Mapping[str, Mapping[str, float]]) -> Iterator[Table]:
    rows = [(rule, *(percent(a[name]) for name in THREATS), _between(result, rule)) for rule, a in found.items()]
    yield Table(("ensemble", *THREATS, "transferability"), rows)
    gap = [
        (rule, percent(a["naive"]), percent(a["adaptive"]), percent(a["naive"] - a["adaptive"]))
        for rule, a in found.items()
    ]
    yield Table(("ensemble", "naive attack", "adaptive attacks", "gap: masked gradients"), gap)
    attacks = [name for name in found[CHOSEN] if name.startswith("adaptive: ")]
    header = ("ensemble", *(name.removeprefix("adaptive: ") for name in attacks))
    yield Table(header, [(rule, *(percent(a[name]) for name in attacks)) for rule, a in found.items()])
    yield Table(("node that asks", "ensemble", "members, by quantizer"), list(_members(result)))


def _between(result: Result, rule: str) -> str:
    values = [host["transferability"].get(rule) for host in result["hosts"]]
    known = [value for value in values if value is not None]
    return f"{np.mean(known):.3f}" if known else ""


def _members(result: Result) -> Iterator[tuple[int, str, str]]:
    for host in result["hosts"]:
        for rule, ensembles in host["members"].items():
            named = (", ".join(f"{node}: {result['quantizers'][node]}" for node in members) for members in ensembles)
            yield host["host"], rule, "; ".join(named)


def _matrix(result: Result) -> HeatMap:
    names = [f"{node}: {quantizer}" for node, quantizer in enumerate(result["quantizers"])]
    values = np.array(result["transfers"]["metric"])
    return HeatMap("Which attacks transfer", "shown to", "made for", values, names, names, "share that transfers")


def _fits(result: Result) -> LineChart:
    """Of the pairs with the least and the greatest transferability, what was counted and what is fitted."""
    measured, metric = result["transfers"], np.array(result["transfers"]["metric"])
    apart = ~np.eye(len(metric), dtype=np.bool_)
    counts, strengths = np.array(measured["counts"]), np.array(measured["strengths"])
    fine, series = np.linspace(0, strengths.max(), FINE), {}
    for value in (metric[apart].min(), metric[apart].max()):
        source, target = np.argwhere((metric == value) & apart)[0]
        fit = Fit(*measured["fits"][source][target])
        series[f"{source} to {target}: counted"] = (strengths, counts[:, source, target])
        series[f"{source} to {target}: fitted"] = (fine, fit(fine))
    return LineChart("How transfer grows with strength", "eps, as a share of white", "images", series)
