"""Where the parts of an experiment stand in it, and of which kind each of them is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from simulator.config.yaml_file import Location
from simulator.core.adversary import ADVERSARIES
from simulator.core.backend import BACKENDS
from simulator.core.method import METHODS
from simulator.core.mixer import MIXERS
from simulator.core.model_registry import MODELS
from simulator.core.registry import PartSettings, Registry
from simulator.core.task import TASKS
from simulator.data.dataset import DATASETS
from simulator.data.label_noise import LABEL_NOISE
from simulator.data.partition import PARTITIONS

if TYPE_CHECKING:
    from simulator.config.experiment import Experiment

SLOTS: Mapping[Location, Registry[Any]] = {  # "*" stands for each of a list
    ("methods", "*"): METHODS,
    ("adversaries", "*", "attack"): ADVERSARIES,
    ("mixer",): MIXERS,
    ("model",): MODELS,
    ("task",): TASKS,
    ("data", "dataset"): DATASETS,
    ("data", "public", "*", "dataset"): DATASETS,
    ("data", "partition"): PARTITIONS,
    ("data", "corruption", "labels"): LABEL_NOISE,
    ("backend",): BACKENDS,
}
DEFAULTS: Mapping[str, Any] = {"mixer": "gossip", "task": "classification", "backend": "local"}
OPTIONAL: frozenset[Location] = frozenset({("data", "corruption", "labels")})  # may be null


def places(tree: Any, pattern: Location, place: Location = ()) -> Iterator[tuple[Any, Any, Location]]:
    """Containers, keys and places in ``tree``, plain data, that match ``pattern``."""
    key, *rest = pattern
    keys: Any = []
    if key == "*" and isinstance(tree, list):
        keys = range(len(tree))
    elif isinstance(tree, dict) and key in tree:
        keys = [key]
    for found in keys:
        if rest:
            yield from places(tree[found], tuple(rest), (*place, found))
        else:
            yield tree, found, (*place, found)


def parts_of(experiment: Experiment) -> Iterator[tuple[Registry[Any], PartSettings]]:
    """All parts that ``experiment`` names, with their kinds."""
    for pattern, registry in SLOTS.items():
        found: list[Any] = [experiment]
        for key in pattern:
            found = [item for each in found for item in (each if key == "*" else [getattr(each, str(key))])]
            found = [item for item in found if item is not None]
        yield from ((registry, settings) for settings in found)
