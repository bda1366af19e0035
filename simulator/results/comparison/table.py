"""The table: results of each group as mean and standard deviation over its seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import nan

from simulator.core.errors import InputError, wrong
from simulator.results.comparison.estimate import MeanAndSpread
from simulator.results.comparison.gains import Gains
from simulator.results.comparison.groups import Group, common_headline, data_of, grouped, last, readable, seed, status
from simulator.results.formatting import MEGABYTE, MISSING, nodes_named, significant
from simulator.results.metric_names import OF_ATTACKS
from simulator.results.run_directory import RunDirectory

SECONDS = "clock/seconds"
MAJORITY = "test/majority"  # what always answering one class would have


@dataclass(frozen=True)
class Comparison:
    """Groups of runs and their results, as text ready to show.

    ``notes`` tell of runs that did not finish, of those that are damaged, and of groups of runs about other data;
    ``metrics`` are those that were asked for beside the usual ones.
    """

    groups: tuple[Group, ...]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    metrics: tuple[str, ...] = ()


def compare(runs: Sequence[RunDirectory], metrics: Sequence[str] = (), against: str | None = None) -> Comparison:
    """Compare ``runs``, those that differ only in their seed taken together.

    Args:
        runs: all of them.
        metrics: names of further metrics to show, each at its end; of nodes, their mean; of audits,
            audit/<audit>/<name>.
        against: an arm of the sweep that the runs are of: how much more accuracy every other arm has than this one, at
            the same point of the grid and seed by seed, so that what the seed does to both cancels.

    Raises:
        InputError: there are no runs, all of them are damaged, or there is no such metric or arm.
    """
    if not runs:
        raise wrong("", "there are no runs to compare.", "Give run directories, or folders that hold some.")
    good, errors = readable(runs)
    if not good:
        raise InputError(*(problem for error in errors for problem in error.problems))
    groups = tuple(grouped(good))
    gains = Gains(groups, against) if against else None
    columns = [_results(groups), _further(groups, metrics), gains.columns(groups) if gains else {}]
    results = {name: column for some in columns for name, column in some.items()}
    header = ("setting", "seeds", *results)
    rows = tuple(zip((group.label for group in groups), map(_seeds, groups), *results.values(), strict=True))
    notes = [f"left out: {error}" for error in errors]
    notes += [_note(group, run) for group in groups for run in group.unfinished]
    notes += [note for group in groups for note in _of_other_data(group)]
    return Comparison(groups, header, rows, tuple(notes), tuple(metrics))


def estimate(group: Group, name: str) -> MeanAndSpread:
    """Of a metric of the network, or of the nodes' mean, at the end of the finished runs of ``group``."""
    return MeanAndSpread.of(_finals(group, name))


def _results(groups: Sequence[Group]) -> dict[str, list[str]]:
    """What is shown of every comparison, by the column's name."""
    headline = common_headline(groups)
    found = {
        f"{name}{headline.unit}": [_scaled(estimate(group, metric), headline.scale) for group in groups]
        for name, metric in (
            (headline.words, headline.mean),
            ("worst node", headline.worst),
            ("consensus model", headline.consensus),
        )
    }
    if any(_finals(group, MAJORITY) for group in groups):
        found["majority class, %"] = [_scaled(estimate(group, MAJORITY), 100) for group in groups]
    found["consensus distance"] = [estimate(group, "consensus/distance").text() for group in groups]
    found["sent by a node, MB"] = [significant(_megabytes(group), 3) for group in groups]
    if any(_finals(group, SECONDS) for group in groups):
        found["simulated time, s"] = [estimate(group, SECONDS).text() for group in groups]
    for metric, name in OF_ATTACKS.items():
        if any(_finals(group, metric) for group in groups):
            found[name] = [estimate(group, metric).text() for group in groups]
    return found


def _further(groups: Sequence[Group], metrics: Sequence[str]) -> dict[str, list[str]]:
    found = {name: [estimate(group, name).text() for group in groups] for name in metrics}
    for name, column in found.items():
        if set(column) == {MISSING}:
            near = get_close_matches(name, _known(groups), n=1)
            guess = f"Did you mean '{near[0]}'? " if near else ""
            where = "Names are in a run's metrics.jsonl and its audit/*/metrics.json; see `rumormill list metrics`."
            raise wrong("--metric", f"no finished run has '{name}'.", f"{guess}{where}")
    return found


def _known(groups: Sequence[Group]) -> set[str]:
    runs = [run for group in groups for run in group.finished]
    return {name for run in runs for name in (*(metric.name for metric in run.metrics()), *run.audit_metrics())}


def _scaled(score: MeanAndSpread, scale: int) -> str:
    mean, spread = score
    scaled = MeanAndSpread(scale * mean, None if spread is None else scale * spread)
    return scaled.text(decimals=1) if scale == 100 else scaled.text(decimals=3)


def _megabytes(group: Group) -> float:
    """Unknown where a run lacks nodes, whose messages nobody has counted."""
    if not group.finished or any(run.not_collected for run in group.finished):
        return nan
    return estimate(group, "bytes/sent").mean / (group.nodes * MEGABYTE)


def _finals(group: Group, name: str) -> list[float]:
    """The last value of each finished run that has the metric."""
    return [value for run in group.finished for value in last(run, name)]


def _seeds(group: Group) -> str:
    """The seeds that count, those that lack nodes, and those that do not count and why."""
    counted = ", ".join(str(seed(run)) for run in group.finished) or MISSING
    missing: dict[str, list[str]] = {}
    for run in group.unfinished:
        missing.setdefault(status(run), []).append(str(seed(run)))
    for run in group.finished:
        if run.not_collected:
            missing.setdefault(f"without {nodes_named(run.not_collected)}", []).append(str(seed(run)))
    why = "; ".join(f"{how}: {', '.join(seeds)}" for how, seeds in missing.items())
    return f"{counted} ({why})" if why else counted


def _of_other_data(group: Group) -> Iterator[str]:
    """Whether files have changed between the runs of a group, which nothing in their settings shows."""
    seeds: dict[bytes, list[str]] = {}
    for run in group.finished:
        if found := data_of(run):
            seeds.setdefault(found, []).append(str(seed(run)))
    if len(seeds) > 1:
        shown = " and those of ".join(
            f"seed{'s' if len(some) > 1 else ''} {', '.join(some)}" for some in seeds.values()
        )
        yield f"{group.label}: the data of {shown} are not the same, so their mean is of different things."


def _note(group: Group, run: RunDirectory) -> str:
    last = max((metric.round for metric in run.metrics()), default=0)
    why, *_ = str(run.sweep_label().get("failure", "")).splitlines() or [""]
    progress = f"last measured after {last} of {run.experiment['rounds']} rounds"
    text = f"{group.label}, seed {seed(run)}: {status(run)}, {progress}"
    return f"{text}: {why}" if why else f"{text}."
