"""Experiment files: YAML with line numbers, without duplicate keys."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.config.recipe_files import recipes
from simulator.core.errors import did_you_mean, wrong
from simulator.core.paths import located
from simulator.core.plain_yaml import LONGEST, Location, read_yaml

__all__ = ["Location", "Source", "read_experiment", "read_value"]

STANDARD_INPUT = "-"


@dataclass(frozen=True)
class Source:
    """An experiment file: its content, the line on which each setting stands, and where paths in it begin."""

    name: str
    content: dict[str, Any]
    lines: Mapping[Location, int]
    folder: Path = Path()

    def line_of(self, place: Location) -> str:
        """``file:line: `` of ``place`` or of the nearest block around it."""
        while place and place not in self.lines:
            place = place[:-1]
        return f"{self.name}:{self.lines[place]}: " if place else f"{self.name}: "


def read_experiment(path: str | Path) -> Source:
    """Read an experiment file (a pipe will do), a recipe by its name, or ``-`` for standard input.

    Raises:
        InputError: no such file or recipe, or its content is not as `read_yaml` wants it, or not a mapping.
    """
    name, text = _text(str(path))
    document = read_yaml(text, name)
    if not isinstance(document.content, dict):
        advice = "See `rumormill list recipes` for complete examples."
        raise wrong(str(path), "is not an experiment: it holds no settings.", advice)
    is_file = str(path) != STANDARD_INPUT and str(path) not in recipes()
    return Source(name, document.content, document.lines, Path(path).expanduser().parent if is_file else Path())


def read_value(text: str, where: str) -> Any:
    """A single value written as YAML, as on the command line.

    Raises:
        InputError: it is not YAML, or more than `read_yaml` allows.
    """
    return read_yaml(text, where, numbered=False).content


def _text(path: str) -> tuple[str, str]:
    """The name of a file, for errors, and what is in it."""
    known = recipes()
    file = known.get(path) or located(Path(path), where=path[:80])
    if path != STANDARD_INPUT and (file.is_dir() or not file.exists()):
        raise wrong(path, "is neither a file nor a recipe.", did_you_mean(path, list(known), "recipes"))
    name = "standard input" if path == STANDARD_INPUT else file.name
    try:
        if path == STANDARD_INPUT:
            raw = sys.stdin.buffer.read(4 * LONGEST)
        else:
            with file.open("rb") as opened:
                raw = opened.read(4 * LONGEST)  # enough to find it too long
        return name, raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise wrong(f"{name}:{line}", "is not YAML: this is no UTF-8 text.", "Save the file as UTF-8.") from error
    except OSError as error:
        raise wrong(path, f"cannot be read: {error.strerror}.", "Correct its permissions.") from error
