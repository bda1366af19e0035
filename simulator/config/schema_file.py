"""The schema of the sites' data in an experiment, from a file beside it or written out; it then stands in it whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from simulator.config.part_blocks import placed, translated
from simulator.config.yaml_file import Location, Source
from simulator.core.errors import InputError, Problem, did_you_mean
from simulator.core.paths import located
from simulator.core.plain_yaml import read_yaml
from simulator.data.sites.schema import SCHEMAS, DataSchema

PLACE: Location = ("data", "sites", "data_schema")


def fill_schema(tree: Mapping[str, Any], folder: Path) -> list[tuple[Location, Problem]]:
    """Replace what stands at ``data.sites.data_schema`` of ``tree`` by the schema that it is; returns what is wrong.

    Args:
        tree: an experiment as plain data.
        folder: where the path of a file begins.
    """
    holder: Any = tree
    for key in PLACE[:-1]:
        holder = holder.get(key) if isinstance(holder, Mapping) else None
    if not isinstance(holder, dict) or PLACE[-1] not in holder or isinstance(holder[PLACE[-1]], DataSchema):
        return []
    given = holder[PLACE[-1]]
    if isinstance(given, Mapping):
        schema, problems = _read(given, PLACE)
    else:
        schema, problems = _from_file(given, folder)
    if schema is not None:
        holder[PLACE[-1]] = schema
    else:
        del tree["data"]["sites"]  # so that the rest can still be checked
    return problems


def _read(block: Mapping[str, Any], place: Location) -> tuple[DataSchema | None, list[tuple[Location, Problem]]]:
    kind = block.get("kind")
    if kind not in SCHEMAS:
        advice = did_you_mean(str(kind), list(SCHEMAS), "kinds")
        return None, [((*place, "kind"), Problem("", f"there is no kind of samples '{kind}'.", advice))]
    try:
        return SCHEMAS[kind].model_validate(block), []
    except ValidationError as error:
        return None, translated(error, SCHEMAS[kind], place)


def _from_file(path: Any, folder: Path) -> tuple[DataSchema | None, list[tuple[Location, Problem]]]:
    """The schema in the file at ``path``, whose problems are told by its own lines."""
    advice = "Give the path of a YAML file, or write the schema out; `rumormill site schema` makes one of examples."
    try:
        file = located(Path(path), folder) if isinstance(path, str | Path) else folder
        text = file.read_text(encoding="utf-8-sig") if file.is_file() else None
        document = None if text is None else read_yaml(text, file.name)
    except (OSError, UnicodeError) as error:
        return None, [(PLACE, Problem("", f"{path} cannot be read: {error}.", advice))]
    except InputError as error:
        return None, [(PLACE, Problem("", f"{each.where}: {each.what}", each.advice)) for each in error.problems]
    if document is None or not isinstance(document.content, dict):
        what = f"{path} is no file." if document is None else f"{path} holds no settings."
        return None, [(PLACE, Problem("", what, advice))]
    schema, problems = _read(document.content, ())
    source = Source(file.name, document.content, document.lines)
    told = [placed(place, problem, source) for place, problem in problems]
    return schema, [(PLACE, Problem("", f"{each.where}: {each.what}", each.advice)) for each in told]
