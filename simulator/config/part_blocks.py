"""From what names a part, in a file or in Python, to its validated settings; every problem with its place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from simulator.config.made_objects import instead_of
from simulator.config.yaml_file import Location, Source
from simulator.core.errors import InputError, Problem, did_you_mean
from simulator.core.registry import Part, PartSettings, Registry
from simulator.core.user_code.names import pinned

# Stands where a part's own block is wrong, so that the rest can still be checked.
PLACEHOLDER = PartSettings(name="invalid")
# How pydantic names one of several kinds; "lax-or-strict" is a path.
KIND = re.compile(r"(constrained-)?(int|float|str|bool)|(literal|lax-or-strict|tuple)\[.*\]")
LISTS = ("tuple_type", "list_type", "set_type", "frozen_set_type")  # what pydantic calls a value that is no list


def fill(
    holder: Any, key: Any, place: Location, registry: Registry[Any], folder: Path
) -> list[tuple[Location, Problem]]:
    """Replace what stands at ``holder[key]`` by the validated settings of the part it names; returns what is wrong.

    Args:
        holder: a list or a mapping.
        key: the place in it.
        place: where that is in the experiment.
        registry: of the parts that may stand there.
        folder: where paths of files begin.
    """
    given, holder[key] = holder[key], PLACEHOLDER
    settings, name = PartSettings, ""
    if made := instead_of(given, registry.kind):
        return [(place, made)]
    try:
        block = written_out(given)
        if isinstance(block.get("name"), type):
            block["name"] = registry.adopt(block["name"])
        if not isinstance(block.get("name"), str):
            advice = f"Write a name, or a block with a name. Known {registry.kind}: {', '.join(registry.names())}."
            return [(place, Problem("", "does not name a part.", advice))]
        name = block["name"] = pinned(block["name"], folder)
        settings = registry.load(name).Config
        holder[key] = settings.model_validate(block)
    except InputError as error:
        return [((*place, "name"), _with_file(problem)) for problem in error.problems]
    except ValidationError as error:
        return translated(error, settings, place, name)
    return []


def _with_file(problem: Problem) -> Problem:
    """``problem``, which may be in a user's file, as one of the setting that names it."""
    return Problem("", f"{problem.where}: {problem.what}" if problem.where else problem.what, problem.advice)


def written_out(given: Any) -> dict[str, Any]:
    """The block, with a name or a class, of what is given: a name, a class, a part, its settings or a block."""
    if isinstance(given, Part) and isinstance(given.config, PartSettings):
        return {**dict(given.config), "name": type(given)}
    return dict(given) if isinstance(given, PartSettings | dict) else {"name": given}


def translated(
    error: ValidationError, settings: type[BaseModel], place: Location, owner: str = ""
) -> list[tuple[Location, Problem]]:
    """What pydantic found wrong in a block of ``settings`` at ``place``, which belongs to the part ``owner``."""
    # pydantic marks a wrong key of a mapping by one more step, "[key]".
    # Of a setting that may be of several kinds, it says of each why it is not: by one more step, the kind.
    found: dict[Location, list[dict[str, Any]]] = {}
    for detail in error.errors():
        below = tuple(key for key in detail["loc"] if key != "[key]")
        of_kind = len(below) > 1 and bool(KIND.fullmatch(str(below[-1])))
        found.setdefault(below[:-1] if of_kind else below, []).append(dict(detail))
    return [((*place, *below), _problem(_joined(details), settings, owner)) for below, details in found.items()]


def _joined(details: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One detail that says all of ``details``, which are about the same place."""
    first, *others = details
    return first | {"msg": ", or ".join([first["msg"], *(other["msg"].removeprefix("Input ") for other in others)])}


def _problem(detail: Mapping[str, Any], settings: type[BaseModel], owner: str) -> Problem:
    kind, place = detail["type"], detail["loc"]
    if kind == "extra_forbidden":
        known = _fields_at(settings, place[:-1])
        return Problem(
            "",
            f"{owner + ' has' if owner else 'there is'} no setting '{place[-1]}'.",
            did_you_mean(str(place[-1]), known, "settings"),
        )
    if kind == "missing":
        return Problem("", "is missing.", "Add it to the experiment.")
    message = detail["msg"].removeprefix("Value error, ")
    given = detail["input"]
    if kind in LISTS and isinstance(given, str | int | float):
        return Problem("", f"is to be a list, and {given!r} is none.", f"Write [{given}].")
    if kind in LISTS:
        is_block = isinstance(given, Mapping)
        advice = "Put it in brackets, [{...}], or behind a dash." if is_block else "Write [], or leave it out."
        return Problem("", f"is to be a list, and {'a block' if is_block else 'nothing'} is none.", advice)
    shown = f" (got {given!r})" if isinstance(given, str | int | float | bool | None) else ""
    return Problem("", f"{message[0].lower()}{message[1:]}{shown}.", "Correct the value.")


def _fields_at(settings: type[BaseModel], place: Location) -> list[str]:
    """Names of the settings allowed at ``place`` below ``settings``."""
    for key in place:
        if isinstance(key, int) or key not in settings.model_fields:
            continue
        annotation = settings.model_fields[key].annotation
        candidates = [annotation, *get_args(annotation)]
        settings = next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), settings)
    return list(settings.model_fields)


def placed(place: Location, problem: Problem, source: Source | None = None) -> Problem:
    """``problem``, at ``place`` of an experiment; with the line of the file ``source`` that it comes from."""
    path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in place).lstrip(".")
    prefix = source.line_of(place) if source else ""
    return Problem(f"{prefix}{path}", problem.what, problem.advice)
