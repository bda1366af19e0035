"""The text of a schema file, from example data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from simulator.config.parsing import load_part
from simulator.core.errors import wrong
from simulator.core.paths import located
from simulator.data.alike import told_alike
from simulator.data.dataset import DATASETS
from simulator.data.sites.example import schema_of, undeclared
from simulator.data.sites.schema import DataSchema
from simulator.data.tabular.reading import SUFFIXES

HEADER = """\
# What a sample is at every site; drafted from {examples}.
# Every host gets this file, so names of columns and categories, mean and std become known to all: those below are the
# examples' own. Put in what the sites have agreed on, and add categories and classes that the examples lack.
"""
AGREED = """\
# Mean and std are left out, for the sites to agree on before round 1: data.sites.statistics: agreed.
"""


def schema_file(given: Sequence[str], agreed: bool = False) -> str:
    """A schema as YAML.

    Args:
        given: example files or one folder, and settings of the data set that reads them, as SETTING=VALUE.
        agreed: whether to leave out mean and standard deviation, for the sites to agree on.

    Raises:
        InputError: there are no such files, they cannot be read, or are of several kinds.
    """
    examples = [each for each in given if "=" not in each or Path(each).exists()]
    overrides = [each for each in given if each not in examples]
    if not examples:
        raise wrong("EXAMPLE", "there is none.", "Name a file with data like the sites', or a folder of image files.")
    paths = [located(Path(each), where="EXAMPLE").absolute() for each in examples]
    settings = load_part(DATASETS, _block(paths, overrides), overrides)
    data = DATASETS.build(settings).load(Path())
    data.validate()
    schema, heading = schema_of(data), HEADER.format(examples=", ".join(path.name for path in paths))
    heading += "".join(f"# Note: {note}.\n" for note in (*data.notes, *told_alike(data)))
    return heading + AGREED + _yaml(undeclared(schema)) if agreed else heading + _yaml(schema)


def _block(paths: Sequence[Path], overrides: Sequence[str]) -> dict[str, Any]:
    """The data set that reads ``paths``, whole: nothing is held back to test with."""
    endings = {path.suffix.lower() for path in paths}
    if endings <= set(SUFFIXES):
        named = any(each.startswith("target=") for each in overrides)
        if not named:
            raise wrong("target", "is missing.", "Say which column is predicted: target=COLUMN.")
        return {"name": "table", "path": list(map(str, paths)), "test": None, "target": ""}
    if endings == {".npz"}:
        return {"name": "npz", "path": list(map(str, paths))}
    if len(paths) == 1 and paths[0].is_dir():
        return {"name": "image_folder", "path": str(paths[0])}
    known = ", ".join((*SUFFIXES, ".npz"))
    what = f"{', '.join(path.name for path in paths)} are not files of one kind."
    raise wrong("EXAMPLE", what, f"Give files that all end in one of {known}, or one folder of image files.")


def _yaml(schema: DataSchema) -> str:
    plain = {"kind": schema.kind, **schema.model_dump(mode="json", exclude_defaults=True)}
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, default_flow_style=None, width=118)
