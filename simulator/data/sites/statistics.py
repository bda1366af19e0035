"""What the nodes have agreed on to normalise by: mean and standard deviation, from the sums over all of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, PositiveFloat, ValidationError, model_validator

from simulator.core.damage import reading
from simulator.core.errors import wrong
from simulator.data.sites.schema import DataSchema, Quantity
from simulator.data.sites.settings import StatisticsSettings
from simulator.data.sites.sums import Sums, middle, noise_scale

ROUNDING = 2.0**-46  # of a mean square: less variance than that is none, and float32 could not tell it from none


class Statistics(BaseModel):
    """Mean and standard deviation of each quantity that the schema does not declare.

    Attributes:
        names: of the quantities.
        count: how many numbers they are over, gaps left out; under noise not exactly, and of groups, how many groups.
        mean: float64; 0 of a quantity that nobody has a number of.
        std: float64; 1 of one that is the same everywhere.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    names: tuple[str, ...]
    count: tuple[float, ...]
    mean: tuple[float, ...]
    std: tuple[PositiveFloat, ...]

    @model_validator(mode="after")
    def _of_each(self) -> Self:
        if {len(self.count), len(self.mean), len(self.std)} != {len(self.names)}:
            raise ValueError("there is not one number of each kind for each quantity")
        return self

    @classmethod
    def of(cls, sums: Sums, schema: DataSchema, settings: StatisticsSettings, nodes: int) -> Self:
        """From the ``sums`` over so many nodes.

        Under noise, means and mean squares stay where numbers within the range can have them, a variance is at least
        what the noise alone would show, and where that is the whole range, the range decides instead.

        Raises:
            InputError: these are no sums of numbers, whoever has told what of them.
        """
        quantities = schema.without_statistics
        noise = noise_scale(settings, len(quantities)) * np.sqrt(nodes)
        found = [
            (each.name, float(column[0]), *_moments(column, each, settings, float(noise)))
            for each, column in zip(quantities, sums.T, strict=True)
        ]
        names, count, mean, std = zip(*found, strict=True)
        try:
            return cls(names=names, count=count, mean=mean, std=std)
        except ValidationError as error:
            what = f"what the sites tell together are no sums of numbers: {described(names)}."
            raise wrong(
                "data.sites.statistics", what, "One of them tells something else: ask who runs them."
            ) from error

    @classmethod
    def read(cls, file: Path) -> Self:
        """What `to_json` wrote into ``file``.

        Raises:
            InputError: it is damaged.
        """
        with reading(file):
            try:
                return cls.model_validate_json(file.read_bytes())
            except ValidationError as error:
                raise ValueError(error.errors()[0]["msg"]) from error

    def to_json(self) -> str:
        """All of it, to the last bit."""
        return json.dumps(self.model_dump(mode="json"), indent=2) + "\n"

    def completed(self, schema: DataSchema) -> DataSchema:
        """The ``schema`` with all that was agreed on in it."""
        return schema.with_statistics(dict(zip(self.names, zip(self.mean, self.std, strict=True), strict=True)))


def _moments(
    column: NDArray[np.float64], quantity: Quantity, settings: StatisticsSettings, noise: float
) -> tuple[float, float]:
    """Mean and standard deviation, by the count, the sum and the sum of squares of one quantity."""
    (count, total, squares), (center, unit) = column, middle(quantity, settings)
    if settings.noise_multiplier is not None:
        return _under_noise(count, total, squares, center, unit, noise)
    if not count:
        return 0.0, 1.0
    with np.errstate(all="ignore"):
        mean = total / count
        variance = squares / count - mean**2
        return float(mean), float(np.sqrt(variance)) if variance > ROUNDING * squares / count else 1.0


def _under_noise(
    count: float, total: float, squares: float, center: float, unit: float, noise: float
) -> tuple[float, float]:
    if count <= max(noise, 1.0):
        return center, unit
    mean = min(max(total / count, -1.0), 1.0)
    variance = min(max(squares / count - mean**2, noise / count), 1.0)
    return float(center + unit * mean), float(unit * np.sqrt(variance))


def described(names: Sequence[str], most: int = 5) -> str:
    """Names of quantities in a sentence."""
    return f"{', '.join(names[:most])}{' ...' if len(names) > most else ''}"
