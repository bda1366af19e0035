"""The parts of the page that a comparison makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from simulator.core.report import Table
from simulator.results.comparison.figures import leakage, pictures
from simulator.results.comparison.groups import common_headline
from simulator.results.comparison.table import Comparison
from simulator.results.report.chapter import Chapter, Details


def chapters(comparison: Comparison) -> list[Chapter]:
    """Results, figures, what is to be said of runs that do not count, and the settings that all have in common."""
    return [_results(comparison), *_figures(comparison), *_notes(comparison), _setting(comparison)]


def _results(comparison: Comparison) -> Chapter:
    text = (
        "At the end of the runs, as mean ± sample standard deviation over the seeds; a single seed has none. Only "
        "finished runs count."
    )
    return Chapter("Results", (text,), tables=[Table(comparison.header, comparison.rows)])


def _figures(comparison: Comparison) -> Iterator[Chapter]:
    score = common_headline(comparison.groups).words
    text = (
        f"The nodes' mean test {score}: the line is its mean over the seeds, the band one standard deviation to either "
        "side. Where a figure shows it against another result, points and bars are the same, and a line across is a "
        "setting that has no such result; drawn by scripts, it has a point for each run."
    )
    if drawn := pictures(comparison.groups, comparison.metrics or leakage(comparison.groups)):
        yield Chapter(f"{score[0].upper()}{score[1:]}", (text,), drawn)


def _notes(comparison: Comparison) -> Iterator[Chapter]:
    if comparison.notes:
        yield Chapter("Runs that did not finish", comparison.notes)


def _setting(comparison: Comparison) -> Chapter:
    shared = yaml.safe_dump(
        common([group.experiment for group in comparison.groups]), sort_keys=False, allow_unicode=True
    )
    return Chapter("Setting", details=[Details("What all runs have in common", shared)])


def common(settings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What all ``settings`` say alike."""
    first, *others = settings
    shared: dict[str, Any] = {}
    for key, value in first.items():
        values: list[Any] = [value, *(other.get(key) for other in others)]
        if all(other == value for other in values):
            shared[key] = value
        elif all(isinstance(other, Mapping) for other in values) and (inner := common(values)):
            shared[key] = inner
    return shared
