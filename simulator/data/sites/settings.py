"""The block ``data.sites`` of an experiment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveFloat, SerializeAsAny, field_validator, model_validator

from simulator.core.registry import Settings
from simulator.data.sites.schema import SCHEMAS, DataSchema

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # of a file, too
AGREED = "agreed"  # in an experiment file, for statistics that leave the sites without noise


class StatisticsSettings(Settings):
    """How the nodes agree, before round 1, on the mean and the standard deviation of what declares none.

    Attributes:
        noise_multiplier: standard deviation of the noise that each site adds to its own sums, over the most that one
            ``unit`` can change them; None: what leaves are the sums themselves.
        unit: whose data the noise protects: one training sample's, or those of one group, each sample of which then
            counts by its share of the group.
        delta: of the promise (epsilon, delta), where no method makes one of the whole run; default: a tenth of one over
            the site's number of training samples.
    """

    noise_multiplier: PositiveFloat | None = None
    unit: Literal["sample", "group"] | None = None
    delta: float | None = Field(None, gt=0, lt=1)

    @model_validator(mode="after")
    def _noise_protects_somebody(self) -> StatisticsSettings:
        if self.noise_multiplier is None and (self.unit or self.delta):
            raise ValueError("unit and delta are those of noise: give a noise_multiplier")
        if self.noise_multiplier is not None and self.unit is None:
            raise ValueError("say whose data the noise protects: unit: sample, or unit: group")
        return self


class SitesSettings(Settings):
    """Each node is a site, and opens its own data alone.

    In a simulation, a site's data are the file or folder of its name in ``data.dataset.path``; in a deployment they are
    what ``node.yaml`` names on the site's own host.

    Attributes:
        names: of the sites, in the order of the nodes.
        data_schema: what their samples are, or in an experiment file also the path of a YAML file that says so, from
            the experiment's folder on; see `simulator.data.sites.schema`, and ``rumormill site schema``, which writes
            one.
        test: a file like a site's, in the data root, of samples that all nodes are tested on.
        statistics: how the nodes agree on what the schema does not declare to normalise by, or in an experiment file
            also "agreed", without noise; None: all of it is declared.
    """

    names: tuple[str, ...] = Field(min_length=1)
    data_schema: SerializeAsAny[DataSchema]
    test: Path | None = None
    statistics: StatisticsSettings | None = None

    @field_validator("statistics", mode="before")
    @classmethod
    def _agreed(cls, given: Any) -> Any:
        return {} if given == AGREED else given

    @field_validator("names")
    @classmethod
    def _are_names_of_files(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not _NAME.fullmatch(name):
                raise ValueError(f"'{name}' is no name of a site: letters, digits, ., _ and - make one")
        if len(set(names)) < len(names):
            raise ValueError("two sites have the same name")
        return names

    @field_validator("data_schema", mode="before")
    @classmethod
    def _of_its_kind(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and given.get("kind") in SCHEMAS:
            return SCHEMAS[given["kind"]].model_validate(given)
        return given
