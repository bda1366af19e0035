"""Experiment files: YAML with line numbers, without duplicate keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from simulator.core.errors import InputError, Problem, did_you_mean, wrong

Location = tuple[str | int, ...]


@dataclass(frozen=True)
class Source:
    """An experiment file: its content, and the line on which each setting stands."""

    name: str
    content: dict[str, Any]
    lines: Mapping[Location, int]

    def line_of(self, place: Location) -> str:
        """``file:line: `` of ``place`` or of the nearest block around it."""
        while place and place not in self.lines:
            place = place[:-1]
        return f"{self.name}:{self.lines[place]}: " if place else f"{self.name}: "


def recipes() -> dict[str, Path]:
    """The built-in experiments, by name."""
    folder = Path(str(files("simulator") / "recipes"))
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def read_experiment(path: str | Path) -> Source:
    """Read an experiment file, or a recipe by its name.

    Raises:
        InputError: no such file or recipe, not YAML, duplicate keys, or not a mapping.
    """
    known = recipes()
    file = known.get(str(path), Path(path).expanduser())
    if not file.is_file():
        raise wrong(str(path), "is neither a file nor a recipe.", did_you_mean(str(path), list(known), "recipes"))
    try:
        root = yaml.compose(file.read_text(), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise wrong(str(path), f"is not YAML: {error}.", "Check the indentation and the colons.") from error
    if not isinstance(root, yaml.MappingNode):
        raise wrong(
            str(path),
            "is not an experiment: it holds no settings.",
            "See `rumormill list recipes` for complete examples.",
        )
    lines: dict[Location, int] = {}
    duplicates: list[Problem] = []
    _walk(root, (), file.name, lines, duplicates)
    if duplicates:
        raise InputError(*duplicates)
    return Source(file.name, yaml.safe_load(file.read_text()), lines)


def read_value(text: str, where: str) -> Any:
    """A single value written as YAML, as on the command line.

    Raises:
        InputError: it is not YAML.
    """
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise wrong(
            where, f"the value is not YAML: {error}.", "Quote it for the shell, for example 'methods=[]'."
        ) from error


def _walk(node: yaml.Node, place: Location, name: str, lines: dict[Location, int], duplicates: list[Problem]) -> None:
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            _walk(item, (*place, number), name, lines, duplicates)
    elif isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            key, line = key_node.value, key_node.start_mark.line + 1
            if key in first:
                duplicates.append(
                    Problem(
                        f"{name}:{line}: {key}", f"is set twice, first on line {first[key]}.", "Remove one of the two."
                    )
                )
            first.setdefault(key, line)
            lines[(*place, key)] = line
            _walk(value_node, (*place, key), name, lines, duplicates)
