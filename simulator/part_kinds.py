"""Everything that is chosen by name, kind by kind: the one list that `rumormill list` and `rumormill doctor` go by.

What stands in an experiment is in `simulator.config.slots`, with its place there; audits and trackers are asked for on
the command line, and graphs, mixing matrices and schedules are functions of the package topologies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from simulator.config.slots import SLOTS
from simulator.config.yaml_file import read_experiment, recipes
from simulator.core.registry import Registry
from simulator.results.trackers import TRACKERS
from simulator.runs.audit import AUDITS
from topologies import GRAPHS, SCHEDULES, WEIGHTS

OF_AUDITS = ("views", "signals", "attacks", "memorization_scores")  # which the package auditing brings
REGISTRIES: Mapping[str, Registry[Any]] = {
    registry.kind: registry for registry in (*SLOTS.values(), AUDITS, TRACKERS, *map(Registry, OF_AUDITS))
}
FUNCTIONS: Mapping[str, Mapping[str, Any]] = {"graphs": GRAPHS, "weights": WEIGHTS, "schedules": SCHEDULES}


def descriptions() -> dict[str, Callable[[], dict[str, str]]]:
    """By kind, what gives its names and a line on each; a registry's parts are imported for that."""
    described: dict[str, Callable[[], dict[str, str]]] = {
        "recipes": lambda: {
            name: str(read_experiment(file).content.get("description", "")) for name, file in recipes().items()
        }
    }
    for kind, functions in FUNCTIONS.items():
        described[kind] = lambda functions=functions: {  # type: ignore[misc]  # bound at once
            name: _summary(function) for name, function in sorted(functions.items())
        }
    for kind, registry in REGISTRIES.items():
        described[kind] = lambda registry=registry: {  # type: ignore[misc]
            name: _summary(registry.load(name)) for name in registry.names()
        }
    return described


def _summary(thing: object) -> str:
    return ((thing.__doc__ or "").strip().splitlines() or [""])[0]
