"""The sweep file: a base experiment and what is varied in it."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, prod
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from simulator.config.yaml_file import STANDARD_INPUT, Source, read_experiment
from simulator.core.errors import InputError, Problem, did_you_mean, wrong
from simulator.core.paths import located
from simulator.core.registry import Settings

MOST_RUNS = 10_000  # all are validated before the first one starts
ADVICE = {
    "overrides": "Write a list such as [rounds=50, mixer=gossip], or a block of dotted paths and values.",
    "seeds": "Write a list of different whole numbers, for example [0, 1, 2].",
    "grid": "Give each dotted path a list of values, for example data.partition.alpha: [1.0, 0.1].",
    "shared_rounds": "Give a number of rounds, or leave it out.",
    "arms": "Give each arm a name and a block of dotted paths and values, for example plain: {methods: []}.",
}


def override(path: str, value: Any) -> str:
    """The override that sets the dotted ``path`` to ``value``."""
    text = yaml.safe_dump(value, default_flow_style=True, width=inf, sort_keys=False).strip()
    return f"{path}={text.removesuffix('...').strip()}"


def _as_overrides(given: Any) -> Any:
    if isinstance(given, Mapping):
        return [override(str(path), value) for path, value in given.items()]
    return [] if given is None else given


Overrides = Annotated[list[str], BeforeValidator(_as_overrides)]
Axis = Annotated[list[Any], Field(min_length=1)]


class SweepSettings(Settings):
    """A sweep as written; the runs are all seeds x arms x points of the grid.

    Attributes:
        experiment: a recipe, a file (beside the sweep file, or from here), or the experiment itself.
        overrides: settings changed in all runs.
        seeds: unless given, the experiment's own.
        grid: values of each dotted path; all of them are combined.
        arms: named groups of overrides, each applied as a whole and before the grid.
        shared_rounds: runs that differ in their methods alone do nothing different in so many first rounds: the first
            of them computes these for all; see `simulator.runs.launch.branch`.
    """

    experiment: Any
    overrides: Overrides = Field([])
    seeds: list[NonNegativeInt] | None = Field(None, min_length=1)
    grid: dict[str, Axis] = Field({})
    arms: dict[Annotated[str, Field(min_length=1)], Overrides] = Field({})
    shared_rounds: PositiveInt | None = Field(None)

    @field_validator("experiment")
    @classmethod
    def _names_or_is_an_experiment(cls, given: Any) -> Any:
        if not isinstance(given, str | Mapping):
            raise ValueError("must be a recipe, a file, or an experiment written out")
        return given

    @field_validator("seeds")
    @classmethod
    def _different(cls, seeds: list[int] | None) -> list[int] | None:
        if seeds and len(set(seeds)) < len(seeds):
            raise ValueError("names a seed twice")
        return seeds

    @field_validator("grid")
    @classmethod
    def _leaves_the_seed_alone(cls, grid: dict[str, list[Any]]) -> dict[str, list[Any]]:
        if "seed" in grid:
            raise ValueError("cannot vary the seed; that is what 'seeds' is for")
        return grid

    @model_validator(mode="after")
    def _can_be_carried_out(self) -> SweepSettings:
        runs = prod(map(len, (self.seeds or [0], self.arms or [0], *self.grid.values())))
        if runs > MOST_RUNS:
            raise ValueError(f"seeds, arms and grid together are {runs:,} runs, more than {MOST_RUNS:,}")
        return self

    @model_validator(mode="after")
    def _grid_spares_the_arms(self) -> SweepSettings:
        for arm, overrides in self.arms.items():
            for path in (text.partition("=")[0] for text in overrides):
                if any(f"{path}.".startswith(f"{axis}.") for axis in self.grid):
                    raise ValueError(f"arm '{arm}' sets {path}, and the grid sets it again")
        return self


def read_sweep(what: str | Path | Mapping[str, Any]) -> SweepSettings:
    """The settings of a sweep file, or of a sweep given as plain data.

    Raises:
        InputError: listing every problem found.
    """
    source = None if isinstance(what, Mapping) else _source(what)
    try:
        settings = SweepSettings.model_validate(source.content if source else what)
    except ValidationError as error:
        raise InputError(*(_problem(dict(detail), source) for detail in error.errors())) from error
    return settings if isinstance(what, Mapping) else _beside(settings, Path(what).expanduser())


def _source(path: str | Path) -> Source:
    file = located(Path(path), where="the sweep")
    if str(path) == STANDARD_INPUT:
        return read_experiment(path)
    if file.is_dir() or not file.exists():
        raise wrong(str(path), "is not a file.", "Give a sweep file: an experiment, and seeds, grid or arms.")
    return read_experiment(file.absolute())  # never a recipe of that name


def _beside(settings: SweepSettings, path: Path) -> SweepSettings:
    """With the experiment's file looked up in the folder of the sweep file first."""
    given = settings.experiment
    near = located(path.parent / given, where="experiment") if isinstance(given, str) else None
    return settings.model_copy(update={"experiment": str(near)}) if near and near.is_file() else settings


def _problem(detail: Mapping[str, Any], source: Source | None) -> Problem:
    place = detail["loc"]
    where = (source.line_of(place) if source else "") + ".".join(map(str, place))
    if detail["type"] == "extra_forbidden":
        known = list(SweepSettings.model_fields)
        return Problem(where, f"a sweep has no setting '{place[-1]}'.", did_you_mean(str(place[-1]), known, "settings"))
    if detail["type"] == "missing":
        return Problem(
            where, "is missing.", "Name a recipe or a file to start from, for example experiment: quickstart."
        )
    message = detail["msg"].removeprefix("Value error, ")
    what = f"{message[0].lower()}{message[1:]}."
    return Problem(where.removesuffix(": "), what, ADVICE.get(str(place[0]), "") if place else "Remove one of the two.")
