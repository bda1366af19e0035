"""Drawings of a report on reconstruction: who learns what of whom, over rounds and distances, and pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from simulator.core.report import Chart, HeatMap, ImageGrid, LineChart
from simulator.results.formatting import MISSING, fixed

Result = Mapping[str, Any]
PICTURES = ("original", "recovered", "best public", "wrong update")
LEARNED = ("not seen", "only sums", "blurred", "exact, not inverted", "exact, not attacked", "samples identified",
           "verbatim")  # fmt: skip
NOTHING, SUMS, BLURRED, RESISTED, EXACT, IDENTIFIED, VERBATIM = range(len(LEARNED))
HIDDEN = 1e-9  # of R^2
HALF = 0.5  # of R^2, from which on an update is seen blurred, and not only in sums
NEAREST = 6  # distances, over rounds
PERFECT = 100  # dB, beyond which a picture cannot be told from its original


def charts(result: Result, pictures: Mapping[str, Any]) -> Iterator[Chart]:
    """What is drawn of ``result``; ``pictures`` are uint8 [victims, kinds, channels, height, width] by name."""
    plan = result["plan"]
    yield from _curve(plan)
    if len(plan["observers"]) <= 64:
        yield _matrix(result)
    for name, images in pictures.items():
        sets = images.transpose(0, 1, 3, 4, 2)  # [victims, kinds, height, width, channels]
        if sets.shape[-1] in (1, 3):
            attack = name.removeprefix("pictures/")
            captions = [caption for about in result["attacked"]["pictured"][attack] for caption in _captions(about)]
            title = f"Best reconstruction of each victim: {attack}"
            yield ImageGrid(title, sets.reshape(-1, *sets.shape[2:]), captions, len(PICTURES))


def _captions(about: Result) -> Iterator[str]:
    """Below the pictures of a victim, in the order of `PICTURES`."""
    yield f"node {about['victim']}, round {about['round']}:\noriginal"
    for kind in PICTURES[1:]:
        value = about["psnr"][kind]
        known = "" if kind != "recovered" else ", identified" if about["identified"] else ", not identified"
        yield f"{kind}{known}\n{'nothing' if value is None else f'{decibels(value)} dB'}"


def _curve(plan: Result) -> Iterator[LineChart]:
    """R^2 over the rounds of the nearest distances; where there is one round alone, over distances."""
    title, of = "How much of an update is explained by what an observer hears", "R², mean over pairs"
    if plan.get("sure"):
        title, of = "How many updates are computed for sure", "share of the pairs"
    found = {at["distance"]: np.array(at["by_round"], dtype=np.float64) for at in plan["by_distance"]}
    seen = {far: values for far, values in found.items() if (np.nan_to_num(values) > HIDDEN).any()}
    if plan["followed"] == 1 and seen:
        curve = np.array(list(found), dtype=np.float64), np.concatenate(list(found.values()))
        yield LineChart(title, "distance", of, {"": curve}, points=True)
    elif seen:
        series = {}
        for far, values in list(seen.items())[:NEAREST]:
            there = np.isfinite(values)
            series[f"distance {far}"] = (np.flatnonzero(there) + 1).astype(np.float64), values[there]
        yield LineChart(title, "round of the update", of, series)


def _matrix(result: Result) -> HeatMap:
    """What each observer learns of each node, from nothing to samples."""
    plan, attacked = result["plan"], _attacked(result["attacked"])
    values = np.full((len(plan["observers"]), len(plan["solved"][0])), np.nan)
    for row, (solved, explained) in enumerate(zip(plan["solved"], plan["explained"], strict=True)):
        for node, (count, share) in enumerate(zip(solved, explained, strict=True)):
            if count:
                values[row, node] = attacked.get((plan["observers"][row], node), EXACT)
            elif count is not None:
                values[row, node] = NOTHING if share <= HIDDEN else SUMS if share < HALF else BLURRED
    nodes = [str(node) for node in range(values.shape[1])]
    title = "What is learned of a node, from its update that is seen best; crossed out: the observer's own nodes"
    levels = ("not for sure", *LEARNED[1:]) if plan.get("sure") else LEARNED
    return HeatMap(title, "node", "observer", values, plan["observers"], nodes, "", levels=levels)


def _attacked(attacked: Result | None) -> dict[tuple[str, int], int]:
    """What was made of the updates of a node that an observer computes exactly, where they were attacked."""
    found: dict[tuple[str, int], int] = {}
    for attack, by_how in (attacked or {"together": {}})["together"].items():
        for update, job in zip(attacked["updates"], attacked["attacks"][attack], strict=True):  # type: ignore[index]
            if update["how"] != "exact" or not job["samples"]:
                continue
            lost = job["identified"] and by_how["exact"][str(update["round"])]["succeeded"]
            level = RESISTED if not lost else VERBATIM if job["verbatim"] == job["samples"] else IDENTIFIED
            for observer in update["solved_by"] or ():
                pair = observer, update["victim"]
                found[pair] = max(level, found.get(pair, RESISTED))
    return found


def decibels(value: float | None) -> str:
    """A number of dB to read; `MISSING` where there is none."""
    return MISSING if value is None else f"over {PERFECT}" if value > PERFECT else fixed(value, 1)
