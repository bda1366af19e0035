"""One list of what is chosen by name: the same kinds in it and in pyproject.toml."""

import tomllib
from pathlib import Path

from simulator.part_kinds import REGISTRIES

ROOT = Path(__file__).parents[2]


def test_every_kind_has_its_entry_points_and_no_other_has_any():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]

    assert set(declared) == {registry.group for registry in REGISTRIES.values()}
    for registry in REGISTRIES.values():
        assert set(declared[registry.group]) == set(registry.names())
        registry.load(registry.names()[0])  # then the package that has the kind is there, too
        kind = registry.kind.replace("_", "")
        assert registry.base.__name__.lower() in (kind.removesuffix("s"), kind.removesuffix("ies") + "y")
