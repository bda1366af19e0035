"""Names for groups of runs, made of what differs between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simulator.results.formatting import describe

AROUND = ("attack", "dataset")  # of blocks that stand in a list and have no name of their own
Fragments = list[tuple[str, str]]  # dotted path and text of what differs; without a path where the text says it all


def labels(settings: Sequence[Any], sweeps: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    """One label a group, all different.

    Args:
        settings: the groups' experiments as plain data.
        sweeps: what ``sweep.json`` says of each group; empty for those of no sweep.
        names: what the groups' experiments are called, in case nothing differs.
    """
    texts = _joined([_of_sweep(sweep) for sweep in sweeps])
    if not all(texts) or len(set(texts)) < len(texts):
        texts = _joined(differences(settings))
    return [text or name for text, name in zip(texts, names, strict=True)]


def differences(values: Sequence[Any], path: str = "") -> list[Fragments]:
    """For each value, what tells it from the others; a part of another name is not compared any further."""
    if all(value == values[0] for value in values):
        return [[] for _ in values]
    kinds = [_kind(value) for value in values]
    if None in kinds:
        return [[(path, describe(value) or "none")] for value in values]
    found: list[Fragments] = [[(path, str(kind))] if len(set(kinds)) > 1 else [] for kind in kinds]
    for kind in dict.fromkeys(kinds):
        alike = [place for place, other in enumerate(kinds) if other == kind]
        for place, inner in zip(alike, _inside([values[place] for place in alike], path), strict=True):
            found[place] += inner
    return found


def _kind(value: Any) -> str | None:
    """What two values must share to be compared inside: the names of the parts; None for what has no inside."""
    if isinstance(value, Mapping):
        return str(value.get("name", ""))
    if isinstance(value, list) and all(isinstance(item, Mapping) for item in value):
        return " + ".join(map(_name, value)) or "none"
    return None


def _name(block: Mapping[str, Any]) -> str:
    """Of the part that ``block`` of a list is of; of attackers and public samples, of the part that they are around."""
    around: Mapping[str, Any] = next((block[key] for key in AROUND if isinstance(block.get(key), Mapping)), {})
    return str(block.get("name") or around.get("name", ""))


def _inside(values: Sequence[Any], path: str) -> list[Fragments]:
    """`differences` of values of one kind, setting by setting."""
    blocks = [dict(enumerate(value)) if isinstance(value, list) else value for value in values]
    found: list[Fragments] = [[] for _ in values]
    for key in dict.fromkeys(key for block in blocks for key in block):
        inner = differences([block.get(key) for block in blocks], f"{path}.{key}" if path else str(key))
        for place, fragments in enumerate(inner):
            found[place] += fragments
    return found


def _of_sweep(sweep: Mapping[str, Any]) -> Fragments:
    arm = [("", str(sweep["arm"]))] if sweep.get("arm") else []
    return [*arm, *((path, describe(value) or "none") for path, value in sweep.get("grid", {}).items())]


def _joined(groups: Sequence[Fragments]) -> list[str]:
    """Each group's fragments on one line, without those that all groups have."""
    common = set.intersection(*(set(fragments) for fragments in groups)) if len(groups) > 1 else set()
    short = _shortened({path for fragments in groups for path, _ in fragments})
    return [
        ", ".join(f"{short[path]} {text}".strip() for path, text in fragments if (path, text) not in common)
        for fragments in groups
    ]


def _shortened(paths: set[str]) -> dict[str, str]:
    """Each path without its first keys, as far as it stays unlike the others; a number keeps what it counts."""
    short = {}
    for path in paths:
        keys = path.split(".")
        endings = [".".join(keys[start:]) for start in range(len(keys) - 1, -1, -1) if not keys[start].isdigit()]
        others = paths - {path}
        short[path] = next((end for end in endings if not any(f".{o}".endswith(f".{end}") for o in others)), path)
    return short
