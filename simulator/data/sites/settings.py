"""The block ``data.sites`` of an experiment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, SerializeAsAny, field_validator

from simulator.core.registry import Settings
from simulator.data.sites.schema import SCHEMAS, DataSchema

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # of a file, too


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
    """

    names: tuple[str, ...] = Field(min_length=1)
    data_schema: SerializeAsAny[DataSchema]
    test: Path | None = None

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
