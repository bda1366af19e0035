"""From a sweep's settings to its runs, all validated before the first one starts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from simulator.config.experiment import Experiment
from simulator.config.parsing import load_experiment
from simulator.config.yaml_file import STANDARD_INPUT
from simulator.core.errors import InputError, Problem
from simulator.results.formatting import describe
from simulator.sweep.settings import SweepSettings, override, read_sweep

LONGEST_NAME = 100  # leaves room for the date and the seed in the name of a directory


class Combination(NamedTuple):
    """One seed, arm and point of the grid; ``seed`` and ``arm`` are None where the sweep names none."""

    arm: str | None
    grid: Mapping[str, Any]
    seed: int | None

    @property
    def parts(self) -> list[str]:
        """What distinguishes it, apart from the seed."""
        return [*([self.arm] if self.arm else []), *(f"{path} {_shown(value)}" for path, value in self.grid.items())]

    @property
    def label(self) -> str:
        """What distinguishes it, on one line."""
        return ", ".join([*self.parts, *([] if self.seed is None else [f"seed {self.seed}"])]) or "the experiment"


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep."""

    combination: Combination
    experiment: Experiment

    @property
    def label(self) -> str:
        """What distinguishes it in the sweep."""
        return self.combination.label

    def identity(self) -> str:
        """Equal for runs with equal results."""
        return identity(self.experiment)

    @property
    def trunk(self) -> str:
        """Equal for runs that differ in their methods alone, and so may share their first rounds."""
        return f"{identity(self.experiment.model_copy(update={'methods': ()}))}, record {self.experiment.record}"

    def to_json(self) -> dict[str, Any]:
        """What ``sweep.json`` in its run directory says."""
        combination, identity = self.combination, self.identity()
        return {
            "arm": combination.arm,
            "grid": dict(combination.grid),
            "seed": self.experiment.seed,
            "identity": identity,
        }


@dataclass(frozen=True)
class Sweep:
    """A sweep whose runs are all valid and all different; the seed changes slowest, then the arm.

    Attributes:
        runs: in the order in which they are carried out.
        shared_rounds: the first rounds that arms have in common; 0: none.
    """

    runs: tuple[SweepRun, ...]
    shared_rounds: int = 0


def load_sweep(what: str | Path | Mapping[str, Any]) -> Sweep:
    """A sweep from a YAML file or from plain data.

    Raises:
        InputError: listing every problem of the sweep, or else of all its experiments.
    """
    settings = read_sweep(what)
    runs: list[SweepRun] = []
    found: dict[Problem, list[str]] = {}
    total = 0
    folder = Path() if isinstance(what, Mapping) or str(what) == STANDARD_INPUT else Path(what).expanduser().parent
    for combination in _combinations(settings):
        total += 1
        try:
            runs.append(SweepRun(combination, _experiment(settings, combination, folder)))
        except InputError as error:
            for problem in error.problems:
                found.setdefault(problem, []).append(combination.label)
    problems = [_placed(problem, labels, total) for problem, labels in found.items()]
    problems = problems or [*_duplicates(runs), *_unshareable(runs, settings.shared_rounds)]
    if problems:
        raise InputError(*problems)
    return Sweep(tuple(runs), settings.shared_rounds or 0)


def identity(experiment: Experiment) -> str:
    """Equal for experiments with equal results, whatever they are called."""
    return experiment.model_copy(update={"name": "any"}).digest()


def _combinations(settings: SweepSettings) -> Iterator[Combination]:
    points = [dict(zip(settings.grid, values, strict=True)) for values in product(*settings.grid.values())]
    seeds: Sequence[int | None] = settings.seeds or [None]
    arms: Sequence[str | None] = list(settings.arms) or [None]
    for seed, arm, point in product(seeds, arms, points):
        yield Combination(arm, point, seed)


def _experiment(settings: SweepSettings, combination: Combination, folder: Path) -> Experiment:
    overrides = [*settings.overrides, *(settings.arms[combination.arm] if combination.arm else [])]
    overrides += [override(path, value) for path, value in combination.grid.items()]
    overrides += [] if combination.seed is None else [f"seed={combination.seed}"]
    experiment = load_experiment(settings.experiment, overrides, folder=folder)
    name = "-".join([experiment.name, *map(_slug, combination.parts)])
    checkpoint = experiment.checkpoint  # others may start from the one after the shared rounds
    kept = sorted({*checkpoint.rounds, *([settings.shared_rounds] if settings.shared_rounds else [])})
    changes = {"name": name[:LONGEST_NAME], "checkpoint": checkpoint.model_copy(update={"rounds": tuple(kept)})}
    return experiment.model_copy(update=changes)


def _placed(problem: Problem, labels: Sequence[str], total: int) -> Problem:
    """``problem`` with the runs that have it, unless they all do."""
    if len(labels) == total:
        return problem
    more = f" (and {len(labels) - 1} more)" if len(labels) > 1 else ""
    return Problem(f"{labels[0]}{more}: {problem.where}", problem.what, problem.advice)


def _duplicates(runs: Sequence[SweepRun]) -> Iterator[Problem]:
    first: dict[str, SweepRun] = {}
    for run in runs:
        other = first.setdefault(run.identity(), run)
        if other is not run:
            yield Problem(run.label, f"is the same experiment as {other.label}.", "Remove one of the two.")


def _unshareable(runs: Sequence[SweepRun], rounds: int | None) -> Iterator[Problem]:
    """A run must have a checkpoint after the shared rounds, and more rounds to come."""
    experiments = [run.experiment for run in runs] if rounds else []
    if any(rounds >= experiment.rounds for experiment in experiments if rounds):
        yield Problem("shared_rounds", f"{rounds} rounds are shared, which is the whole run.", "Choose fewer.")
    elif any(not each.checkpoint.every or rounds % each.checkpoint.every for each in experiments if rounds):
        what = f"runs keep no checkpoint after {rounds} rounds that others could start from."
        yield Problem("shared_rounds", what, f"Set checkpoint.every to {rounds}, or to a divisor of it.")


def _shown(value: Any) -> str:
    return describe(value) or "none"


def _slug(part: str) -> str:
    """``part`` for use in a name: of a dotted path, the last key."""
    return re.sub(r"[^A-Za-z0-9._]+", "-", re.sub(r"^\S*\.(?=[A-Za-z]\S* )", "", part)).strip("-.")
