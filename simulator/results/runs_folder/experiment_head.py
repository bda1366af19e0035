"""What a run is called, without reading all of its experiment: YAML takes longer than all else in a listing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from simulator.core.damage import reading
from simulator.core.plain_yaml import read_yaml

TOP = re.compile(r"^(?=[^\s#-])", re.MULTILINE)  # where a setting of the first level begins
PLAIN = re.compile(r"^(name|seed|rounds): (?:(\d{1,18})|([A-Za-z][\w.+-]*))$", re.MULTILINE)  # what is as it stands


class Head(NamedTuple):
    """What stands first in an experiment."""

    name: str
    seed: int
    rounds: int


def read_head(file: Path) -> Head:
    """The head of an ``experiment.yaml``; what follows is not looked at.

    Raises:
        InputError: it cannot be read, or is no experiment.
    """
    with reading(file):
        text = file.read_text(encoding="utf-8")
        found: Mapping[str, Any] = {name: word or int(number) for name, number, word in PLAIN.findall(text)}
        if found.keys() != set(Head._fields):
            found = blocks(text, Head._fields, str(file))
        head = Head(found["name"], found["seed"], found["rounds"])
        if not isinstance(head.name, str) or type(head.seed) is not int or type(head.rounds) is not int:
            raise ValueError("name is no text, or seed or rounds no whole number")
        return head


def blocks(text: str, names: tuple[str, ...], where: str) -> Mapping[str, Any]:
    """The settings of the first level that are called ``names``, of those that the experiment has; maybe others too.

    Raises:
        InputError: what is read is no YAML; placed at ``where``.
        TypeError: it holds no settings.
    """
    first = tuple(f"{name}:" for name in names)
    chosen = [part for part in TOP.split(text) if part.startswith(first)]
    whole = not text.startswith("name:")  # not as a run writes it
    content = read_yaml(text if whole else "".join(chosen), where, numbered=False).content
    if not isinstance(content, dict):
        raise TypeError("it holds no settings")
    return content
