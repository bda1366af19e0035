"""Which runs belong together: those that differ only in their seed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simulator.core.damage import reading
from simulator.core.errors import InputError, Problem, wrong
from simulator.results.comparison.labels import labels
from simulator.results.headline import Headline
from simulator.results.places import runs_in
from simulator.results.run_directory import RunDirectory

# What an experiment is called, and where and how it is run, does not count.
APART = ("name", "description", "seed", "backend", "checkpoint")


@dataclass(frozen=True)
class Group:
    """Runs of one setting, one a seed: only the finished ones count.

    Attributes:
        label: what tells it from the other groups.
        experiment: its setting, without the seed.
    """

    label: str
    experiment: Mapping[str, Any]
    finished: tuple[RunDirectory, ...]
    unfinished: tuple[RunDirectory, ...]

    @property
    def nodes(self) -> int:
        """How many nodes its network has."""
        return self.finished[0].topology.num_nodes


def find_runs(paths: Sequence[Path]) -> list[RunDirectory]:
    """The runs at ``paths``, each of them a run directory or a folder that holds some; none of them twice.

    Raises:
        InputError: there is no run at one of the paths.
    """
    found: dict[Path, RunDirectory] = {}
    for path in paths:
        for run in [path] if (path / "experiment.yaml").exists() else _inside(path):
            found.setdefault(run.resolve(), RunDirectory(run))
    return list(found.values())


def readable(runs: Sequence[RunDirectory]) -> tuple[list[RunDirectory], list[InputError]]:
    """Of ``runs`` those that can be compared, and what is wrong with the others, each under the path of its run."""
    good, errors = list[RunDirectory](), list[InputError]()
    for run in runs:
        try:
            _read(run)
        except InputError as error:
            known = str(run.path) in str(error)
            errors.append(error if known else InputError(*(_under(run.path, each) for each in error.problems)))
        else:
            good.append(run)
    return good, errors


def _under(run: Path, problem: Problem) -> Problem:
    return Problem(f"{run}: {problem.where}", problem.what, problem.advice)


def _read(run: RunDirectory) -> None:
    """See all that a comparison may need of ``run``.

    Raises:
        InputError: a file is damaged.
    """
    with reading(run.path / "experiment.yaml"):
        json.dumps(_setting(run), sort_keys=True)
        int(run.experiment["rounds"])
    run.provenance(), run.sweep_label(), run.metrics(), run.audit_metrics(), data_of(run)
    if (run.path / "topology.json").exists() or status(run) == "finished":
        assert run.topology


def grouped(runs: Sequence[RunDirectory]) -> list[Group]:
    """The groups of ``runs``, in the order of their first run."""
    members: dict[str, list[RunDirectory]] = {}
    for run in runs:
        members.setdefault(json.dumps(_setting(run), sort_keys=True), []).append(run)
    chosen = [list(_one_a_seed(some)) for some in members.values()]
    settings = [_setting(some[0]) for some in chosen]
    names = labels(
        settings, [_sweep_label(some) for some in chosen], [str(some[0].experiment["name"]) for some in chosen]
    )
    return [_group(label, setting, some) for label, setting, some in zip(names, settings, chosen, strict=True)]


def status(run: RunDirectory) -> str:
    """How the run ended: "finished", "interrupted", "failed", or "running" where it has not."""
    return str(run.provenance().get("status", "running"))


def seed(run: RunDirectory) -> int:
    """The seed of ``run``."""
    return int(run.experiment["seed"])


def data_of(run: RunDirectory) -> bytes | None:
    """The digest of the data that ``run`` was about; None where it was not written down."""
    if not (file := run.path / "partition.npz").exists():
        return None
    with reading(file), np.load(file, allow_pickle=False) as arrays:
        return arrays["content"].tobytes() if "content" in arrays else None


def last(run: RunDirectory, name: str) -> list[float]:
    """The last value of a metric of the network, the nodes' mean of theirs, or an audit's; empty if there is none."""
    if name.startswith("audit/"):
        return [value for found, value in run.audit_metrics().items() if found == name]
    _, values = run.network_series(name)
    if not len(values):
        _, values = run.series(name)
    return [float(np.nanmean(values[-1]))] if len(values) else []


def _inside(folder: Path) -> list[Path]:
    found = runs_in(folder)
    if not found:
        raise wrong(str(folder), "is not a run and holds none.", "Give run directories, or a folder such as runs/.")
    return found


def _setting(run: RunDirectory) -> dict[str, Any]:
    blocks = run.experiment.get("adversaries", ())
    as_asked = [{**block, "nodes": []} if block.get("count") else block for block in blocks]  # the seed chose the nodes
    setting = {key: value for key, value in run.experiment.items() if key not in APART}
    return setting | ({"adversaries": as_asked} if blocks else {})


def _one_a_seed(runs: Sequence[RunDirectory]) -> Iterator[RunDirectory]:
    """The latest run of each seed, a finished one before all others."""
    best: dict[int, RunDirectory] = {}
    for run in runs:
        if seed(run) not in best or status(run) == "finished" or status(best[seed(run)]) != "finished":
            best[seed(run)] = run
    for number in sorted(best):
        yield best[number]


def _sweep_label(runs: Sequence[RunDirectory]) -> Mapping[str, Any]:
    """What the sweep that the runs are of says of them; empty if there was none."""
    return next((found for run in runs if (found := run.sweep_label())), {})


def _group(label: str, setting: Mapping[str, Any], runs: Sequence[RunDirectory]) -> Group:
    finished = tuple(run for run in runs if status(run) == "finished")
    return Group(label, setting, finished, tuple(run for run in runs if run not in finished))


def common_headline(groups: Sequence[Group]) -> Headline:
    """The score that runs are compared by first: that of their tasks.

    Raises:
        InputError: they are of different tasks.
    """
    found = {run.headline: run for group in groups for run in group.finished}
    if len(found) > 1:
        names = " and ".join(sorted(headline.words for headline in found))
        advice = "Compare runs of one task at a time."
        raise wrong("", f"these runs have no score in common: some are measured by {names}.", advice)
    return next(iter(found), Headline())
