"""The table: results of each group as mean and standard deviation over its seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from typing import NamedTuple

import numpy as np

from simulator.core.errors import wrong
from simulator.results.comparison.groups import Group, grouped, read, seed, status
from simulator.results.formatting import MEGABYTE, MISSING, fixed, significant
from simulator.results.run_directory import RunDirectory

SECONDS = "clock/seconds"
ACCURACIES = {
    "accuracy, %": "test/accuracy/mean",
    "worst node, %": "test/accuracy/worst",
    "consensus model, %": "consensus/test/accuracy",
}


class Estimate(NamedTuple):
    """Mean and sample standard deviation over seeds; one seed has no spread."""

    mean: float
    spread: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Estimate:
        """Of one value a seed; NaN where there is none."""
        known = np.array(values or [nan], dtype=np.float64)
        return cls(float(known.mean()), float(known.std(ddof=1)) if len(known) > 1 else None)

    def text(self, decimals: int | None = None) -> str:
        """As people write it, with that many decimals, or else with three significant digits."""
        mean = significant(self.mean, 3) if decimals is None else fixed(self.mean, decimals)
        if self.spread is None or not isfinite(self.mean):
            return mean
        places = len(mean.partition(".")[2]) if decimals is None else decimals
        return f"{mean} ± {significant(self.spread, 2) if 'e' in mean else fixed(self.spread, places)}"


@dataclass(frozen=True)
class Comparison:
    """Groups of runs and their results, as text ready to show; ``notes`` tell of runs that did not finish."""

    groups: tuple[Group, ...]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def compare(runs: Sequence[RunDirectory]) -> Comparison:
    """Compare ``runs``, those that differ only in their seed taken together.

    Raises:
        InputError: there are no runs, or one of them is damaged.
    """
    if not runs:
        raise wrong("", "there are no runs to compare.", "Give run directories, or folders that hold some.")
    groups = tuple(grouped(runs))
    timed = any(_finals(group, SECONDS) for group in groups)
    header = ("setting", "seeds", *ACCURACIES, "consensus distance", "sent by a node, MB")
    rows = tuple((group.label, _seeds(group), *_results(group, timed)) for group in groups)
    notes = tuple(_note(group, run) for group in groups for run in group.unfinished)
    return Comparison(groups, (*header, "simulated time, s") if timed else header, rows, notes)


def estimate(group: Group, name: str) -> Estimate:
    """Of a metric of the network at the end of the finished runs of ``group``."""
    return Estimate.of(_finals(group, name))


def _results(group: Group, timed: bool) -> Iterator[str]:
    for name in ACCURACIES.values():
        mean, spread = estimate(group, name)
        yield Estimate(100 * mean, None if spread is None else 100 * spread).text(decimals=1)
    yield estimate(group, "consensus/distance").text()
    yield significant(_megabytes(group), 3)
    if timed:
        yield estimate(group, SECONDS).text()


def _megabytes(group: Group) -> float:
    return estimate(group, "bytes/sent").mean / (group.nodes * MEGABYTE) if group.finished else nan


def _finals(group: Group, name: str) -> list[float]:
    """The last value of each finished run that has the metric."""
    series = (run.network_series(name)[1] for run in group.finished)
    return [float(values[-1]) for values in series if len(values)]


def _seeds(group: Group) -> str:
    """The seeds that count, and those that do not and why."""
    counted = ", ".join(str(seed(run)) for run in group.finished) or MISSING
    missing: dict[str, list[str]] = {}
    for run in group.unfinished:
        missing.setdefault(status(run), []).append(str(seed(run)))
    why = "; ".join(f"{how}: {', '.join(seeds)}" for how, seeds in missing.items())
    return f"{counted} ({why})" if why else counted


def _note(group: Group, run: RunDirectory) -> str:
    last = max((metric.round for metric in run.metrics()), default=0)
    why, *_ = str(read(run, "sweep.json").get("failure", "")).splitlines() or [""]
    progress = f"last measured after {last} of {run.experiment['rounds']} rounds"
    text = f"{group.label}, seed {seed(run)}: {status(run)}, {progress}"
    return f"{text}: {why}" if why else f"{text}."
