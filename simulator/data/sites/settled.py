"""Settings of a data set that say what a schema says already, and so have no place beside one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from simulator.core.errors import Problem
from simulator.core.registry import PartSettings
from simulator.data.sites.schema import DataSchema


def settled(config: PartSettings, names: Sequence[str]) -> Iterator[Problem]:
    """One problem for each setting of ``names`` that has another value than its default."""
    for name in names:
        default = type(config).model_fields[name].get_default(call_default_factory=True)
        if getattr(config, name) != default:
            what = "is decided by data.sites.data_schema, where nodes are sites."
            yield Problem(name, what, f"Leave {name} out, and say it in the schema.")


def of_kind(config: PartSettings, schema: DataSchema, kinds: Sequence[str]) -> Iterator[Problem]:
    """A problem, if the schema is about another kind of samples than ``kinds``."""
    if schema.kind not in kinds:
        what = f"'{config.name}' reads {' or '.join(kinds)}, and the schema declares {schema.kind}."
        yield Problem("", what, f"Give a schema of kind {' or '.join(kinds)}, or take another data set.")
