"""The whole schema: the blocks of an experiment, with what may stand in each of them by name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from simulator.config.editor.choices import part, with_options
from simulator.config.editor.generator import Json, settings_schema
from simulator.config.experiment import Experiment
from simulator.config.schema_file import PLACE
from simulator.config.slots import OPTIONAL, SLOTS
from simulator.config.trace_files import PLACES as TRACES
from simulator.core import atomic
from simulator.core.errors import wrong
from simulator.core.registry import Registry
from simulator.data.sites.schema import SCHEMAS
from simulator.data.sites.settings import AGREED
from topologies import GRAPHS, SCHEDULES, WEIGHTS

FILE_NAME = "rumormill.schema.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
FILE = {"type": "string", "description": "The path of a file, from the experiment's folder on."}


def modeline(schema: str) -> str:
    """The first line of an experiment file, by which editors find the schema in the file at ``schema``."""
    return f"# yaml-language-server: $schema={schema}"


def experiment_schema() -> Json:
    """The JSON schema of an experiment file, with the parts of all installed packages.

    What it allows can still be wrong: how settings go together is checked when an experiment is loaded.

    Raises:
        InputError: a part cannot be imported.
    """
    definitions: dict[str, Json] = {}
    root = settings_schema(Experiment, definitions)
    registries: dict[str, Registry[Any]] = {registry.kind: registry for registry in SLOTS.values()}
    for kind, registry in registries.items():
        definitions[kind] = part(registry, definitions)
    for pattern, registry in SLOTS.items():
        slot: Json = {"$ref": f"#/$defs/{registry.kind}"}
        _replace(root, definitions, pattern, {"anyOf": [slot, {"type": "null"}]} if pattern in OPTIONAL else slot)
    for place in TRACES:
        _also(root, definitions, place, FILE)
    _also(root, definitions, ("data", "public"), {"$ref": "#/$defs/PublicSource"})  # a single source is no list
    _also(root, definitions, ("data", "sites", "statistics"), {"const": AGREED})
    kinds = [settings_schema(schema, definitions) for schema in SCHEMAS.values()]
    _replace(root, definitions, PLACE, {"anyOf": [FILE, *kinds]})
    _add_options(definitions)
    return {"$schema": DIALECT, "title": "An experiment of Rumormill", **root, "$defs": definitions}


def schema_text() -> str:
    """The schema as the text of a file."""
    return json.dumps(experiment_schema(), indent=1, ensure_ascii=False) + "\n"


def write_schema(path: Path) -> Path:
    """Write the schema into the file at ``path``, and return that.

    Raises:
        InputError: it cannot be written, or a part cannot be imported.
    """
    text = schema_text()
    try:
        atomic.write(path, text)
    except OSError as error:
        raise wrong(str(path), f"cannot be written: {error.strerror}.", "Choose another place.") from error
    return path


def _add_options(definitions: dict[str, Json]) -> None:
    topology = definitions["TopologySettings"]
    with_options(topology, "graph", GRAPHS, given=())
    topology["properties"]["weights"]["enum"] = list(WEIGHTS)
    alone, block = definitions["LinkScheduleSettings"]["anyOf"]
    alone["enum"] = list(SCHEDULES)
    with_options(block, "name", SCHEDULES, given=("topology",))


def _replace(root: Json, definitions: dict[str, Json], pattern: Sequence[str | int], schema: Json) -> None:
    """Put ``schema`` where ``pattern`` leads, in the place of what says only that there is a part."""
    for holder, key in _places(root, definitions, pattern):
        kept = {name: holder[key][name] for name in ("description",) if name in holder[key]}
        holder[key] = {**schema, **kept}


def _also(root: Json, definitions: dict[str, Json], pattern: Sequence[str | int], schema: Json) -> None:
    """Allow ``schema``, too, where ``pattern`` leads."""
    for holder, key in _places(root, definitions, pattern):
        holder[key] = {"anyOf": [schema, holder[key]]}


def _places(
    schema: Json, definitions: dict[str, Json], pattern: Sequence[str | int]
) -> Iterator[tuple[dict[str, Any], str]]:
    """Where ``pattern`` leads in ``schema``: the holders and their keys; "*" stands for what is in a list."""
    key, *rest = pattern
    for block in _alternatives(schema, definitions):
        holder, name = (block, "items") if key == "*" else (block.get("properties", {}), str(key))
        if name in holder:
            if rest:
                yield from _places(holder[name], definitions, rest)
            else:
                yield holder, name


def _alternatives(schema: Json, definitions: dict[str, Json]) -> Iterator[Json]:
    """``schema`` itself, what it refers to, and each of what it may be."""
    if "$ref" in schema:
        yield from _alternatives(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    for each in schema.get("anyOf", ()):
        yield from _alternatives(each, definitions)
    yield schema
