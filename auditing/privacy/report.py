"""The section of a run's report that puts promises beside what attacks achieve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isnan, nan
from typing import Any

from auditing.attackers import honest_numbers, told
from auditing.privacy import mark_report
from auditing.privacy.meaning import meaning
from auditing.views.record import recorded_rounds
from simulator.core.report import BarChart, Section, Table
from simulator.results.formatting import MISSING

Result = Mapping[str, Any]
UNUSUAL = {"mislabelled": "with wrong labels", "blank": "that are nothing but zeros, at a node each of another class"}
HEADER = ("node", "claimed epsilon", "empirical lower bound", "perfect attack", "ceiling", "attack AUC")


def section(result: Result) -> Section:
    """The section on ``result``, the content of ``result.json``."""
    return Section(
        "Audit: privacy",
        list(_paragraphs(result)),
        _verdict(result),
        [_table(result), _attacks(result), *([mark_report.distances(result)] if result["by_distance"] else [])],
        [_chart(result), *([mark_report.chart(result)] if result["by_distance"] else [])],
        meaning(result, _claims(result)),
    )


def _verdict(result: Result) -> str:
    found, claims = _chosen(result), _claims(result)
    bounds = [*(each["epsilon"] for each in found["nodes"]), found["pooled"]["epsilon"]]
    broken = [
        f"{name} shows an epsilon of at least {bound:.3g}, where {claim:.3g} was promised"
        for name, claim, bound in zip(_names(result), claims, bounds, strict=True)
        if claim is not None and bound > claim
    ]
    suspicions = mark_report.suspicions(result) if result["marked"] else ()
    flags = "".join(f" Flagged: {flag}" for flag in (*result["flags"], *(f"{each}." for each in suspicions)))
    if broken:
        return f"A promise of privacy is broken: {'; '.join(broken)}.{flags}"
    if any(claim is not None for claim in claims):
        return f"No node's empirical epsilon exceeds its promise. {_limit(result)}{flags}"
    shown = f"No privacy was promised; canaries show an epsilon of at least {bounds[-1]:.3g} over all nodes."
    return f"{shown} {_limit(result)}"


def _limit(result: Result) -> str:
    """What the test could not have seen."""
    ceiling, recorded = _chosen(result)["pooled"]["ceiling"], result["recorded"]
    shown = recorded_rounds(recorded["rounds"], recorded["of"])
    whatever = f"This test could not have detected an epsilon above {ceiling:.3g}"
    if result["perfect_attack"] is None:
        return f"{whatever}, what faultless guesses would show ({shown} recorded)."
    most = result["perfect_attack"]["pooled"]["most"]
    chance = f"{1 - result['settings']['confidence']:.2g}"
    return (
        f"{whatever} whatever the noise, nor one above {most:.3g} where the noise is as promised: a perfect attack on "
        f"{shown} exceeds that with a probability of at most {chance}."
    )


def _paragraphs(result: Result) -> Iterator[str]:
    settings, attack = result["settings"], next(iter(result["attacks"]))
    deltas = sorted({promise["delta"] for promise in result["promises"]})
    if result["marked"]:
        yield from mark_report.about(result)
        yield from mark_report.about_noise(result)
    else:
        yield (
            f"{result['canaries']} training samples {UNUSUAL[result['kind']]}, canaries, were each trained on or not "
            f"by a coin of its own ({result['included']} were)."
        )
    yield (
        f"Guessed are the coins of {settings['guessed']:.0%} of each node's "
        "canaries, a share fixed beforehand: those of the highest scores to be in, those of the lowest to be out. An "
        "epsilon below the lower bound would allow so many right guesses with a probability of at most "
        f"{1 - settings['confidence']:.2g} (Steinke, Nasr & Jagielski 2023; delta {' to '.join(_ends(deltas))}). The "
        "ceiling is what faultless guesses would show; where it is below the promise, nothing could be refuted. Each "
        "bound holds by itself; among many, chance may break a true promise."
    )
    yield (
        "The second table has a second bound, which the same guesses give if the mechanism's trade-off curve is a "
        "Gaussian's (Mahloujifar, Melis & Chaudhuri 2025). It shows more, and nothing where that is not so: at small "
        "noise, steps on samples have heavier tails. Beside it stands what the guesses show if only the noise of what "
        "was promised is unknown, and steps and batches are as they are said to be. Promises are held against the "
        "first bound, which assumes nothing but independent coins."
    )
    yield from told(result)
    recorded = result["recorded"]
    yield (
        f"{recorded['rounds']} of {recorded['of']} rounds were recorded. The perfect attack knows everything but coins "
        "and noise, and sees every noisy step of the recorded rounds, with canaries that do not disturb each other. "
        "Its column is what it would show in the median, with the noise as promised and these canaries and guesses; "
        "by more than chance, no attack on these updates shows more."
    )
    yield (
        f"Scores of the first table: {attack}, chosen because it comes first, not because it does best. The coins of "
        "all canaries are independent, so the guesses about all nodes together bound the epsilon of the least "
        "protected one against whoever sees what all nodes give away, as these attackers do."
    )
    yield (
        "Claimed is the (epsilon, delta) of one sample that is there or not. A method that protects all data of a node "
        "claims for it that of half its noise, as two data sets are twice as far apart as one and none. Attack AUC is "
        "that of the audit of membership, the strongest attack on the node's final model, if that audit was made."
    )
    if result["by_distance"]:
        yield from mark_report.about_distances(result)
    yield from result["flags"]


def _ends(values: list[float]) -> list[str]:
    """The first and the last, once if they are shown alike."""
    return list(dict.fromkeys(f"{value:.2g}" for value in (values[0], values[-1])))


def _table(result: Result) -> Table:
    found = _chosen(result)
    bounds = [*found["nodes"], found["pooled"]]
    auc, accuracy = result["membership_auc"], result["accuracy"]
    beside = [*zip(auc, accuracy, strict=True), (None, sum(accuracy) / len(accuracy))]
    columns = _names(result), _claims(result), bounds, map(_known, _perfect(result)), beside
    rows = [
        (name, "no promise" if claim is None else claim, bound["epsilon"], best, bound["ceiling"], *map(_known, others))
        for name, claim, bound, best, others in zip(*columns, strict=True)
    ]
    return Table((*HEADER, result["headline"]), rows)


def _attacks(result: Result) -> Table:
    rows = [
        (
            name,
            of["pooled"]["correct"],
            of["pooled"]["guesses"],
            *(value for bound in ("pooled", "gaussian") for value in _shown(of[bound])),
            _known(of["sampled"]),
            *_shown(of["independent"]),
        )
        for name, of in result["attacks"].items()
    ]
    header = ("score, seen in", "right guesses", "of", "lower bound, all nodes", "ceiling", "if Gaussian", "ceiling")
    return Table((*header, "noise unknown", "if independent", "ceiling"), rows)


def _shown(bound: Mapping[str, float] | None) -> tuple[float | str, float | str]:
    """A bound, and what faultless guesses would have shown."""
    return (MISSING, MISSING) if bound is None else (bound["epsilon"], bound["ceiling"])


def _perfect(result: Result) -> list[float | None]:
    """What a perfect attack would show of each node and of all."""
    perfect = result["perfect_attack"]
    if perfect is None:
        return [None] * len(_names(result))
    return [each["typical"] for each in (*perfect["nodes"], perfect["pooled"])]


def _chart(result: Result) -> BarChart:
    bounds = [*_chosen(result)["nodes"], _chosen(result)["pooled"]]
    series = {
        "promised": _claims(result),
        "shown": [bound["epsilon"] for bound in bounds],
        "perfect attack": _perfect(result),
        "faultless guesses": [bound["ceiling"] for bound in bounds],
    }
    shown = {name: [nan if value is None else value for value in values] for name, values in series.items()}
    title = "Epsilon: promised, shown, and what could have been"
    known = {name: values for name, values in shown.items() if not all(map(isnan, values))}
    return BarChart(title, _names(result), known, "epsilon")


def _chosen(result: Result) -> Mapping[str, Any]:
    """What the attack of the first table found."""
    found: Mapping[str, Any] = next(iter(result["attacks"].values()))
    return found


def _claims(result: Result) -> list[float | None]:
    """The promise to each node, and to the least protected one; None where nothing is promised."""
    claims = [promise["epsilon"] for promise in result["promises"]]
    return [*claims, None if None in claims else max(claims)]


def _names(result: Result) -> list[str]:
    return [*(f"node {node}" for node in honest_numbers(result, len(result["promises"]))), "all nodes"]


def _known(value: float | None) -> float | str:
    return MISSING if value is None else value
