"""From plain data to an `Experiment`: parts validated by their own settings, every problem reported at once."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from simulator.config.consistency import inconsistencies
from simulator.config.experiment import Experiment
from simulator.config.yaml_file import Location, Source, read_experiment, read_value
from simulator.core.acting import idle
from simulator.core.backend import BACKENDS
from simulator.core.errors import InputError, Problem, did_you_mean
from simulator.core.method import METHODS
from simulator.core.mixer import MIXERS
from simulator.core.model import MODELS
from simulator.core.registry import PartSettings, Registry
from simulator.data.dataset import DATASETS
from simulator.data.label_noise import LABEL_NOISE
from simulator.data.partition import PARTITIONS

DEFAULTS: Mapping[str, Any] = {"mixer": "gossip", "backend": "local"}
SLOTS: Mapping[Location, Registry[Any]] = {
    ("model",): MODELS,
    ("mixer",): MIXERS,
    ("backend",): BACKENDS,
    ("methods", "*"): METHODS,
    ("data", "dataset"): DATASETS,
    ("data", "partition"): PARTITIONS,
    ("data", "corruption", "labels"): LABEL_NOISE,
    ("data", "public", "*", "dataset"): DATASETS,
}
OPTIONAL: frozenset[Location] = frozenset({("data", "corruption", "labels")})  # may be null
# Stands where a part's own block is wrong, so that the rest can still be checked.
PLACEHOLDER = PartSettings(name="invalid")

KIND = re.compile(r"(constrained-)?(int|float|str|bool)|literal\[.*\]")  # how pydantic names one of several kinds


def load_experiment(
    what: str | Path | Mapping[str, Any], overrides: Sequence[str] = (), *, recorded: bool = False
) -> Experiment:
    """An experiment from a YAML file, the name of a built-in recipe, or plain data.

    Args:
        what: path, recipe name, or the experiment as nested mappings.
        overrides: settings to change, such as ``"rounds=10"`` or ``"methods.0.beta=0.5"``; values are read as YAML.
        recorded: it is what a run has written down: settings without effect had none there either, and are let be.

    Raises:
        InputError: listing every problem found, with line numbers where there is a file; or, where there is none, every
            setting that is chosen and has no effect, unless an override of another one made it so.
    """
    source, given = (None, what) if isinstance(what, Mapping) else _read(what)
    content = _with_text_keys({**DEFAULTS, **given})
    for override in overrides:
        _override(content, override)
    experiment = _parse(content, source)
    without_effect = [] if recorded else [each for each in idle(experiment) if not _made_idle(each[0], overrides)]
    if without_effect:
        raise InputError(*(_located(place, problem, source) for place, problem in without_effect))
    return experiment


def _made_idle(place: Location, overrides: Sequence[str]) -> bool:
    """Whether an override beside the setting at ``place`` may have done so, and none has chosen it."""
    setting = tuple(map(str, place))
    paths = [tuple(override.partition("=")[0].split(".")) for override in overrides]
    beside = any(path[: len(setting) - 1] == setting[:-1] for path in paths)
    return beside and not any(path == setting[: len(path)] for path in paths)


def load_part(registry: Registry[Any], content: Mapping[str, Any], overrides: Sequence[str] = ()) -> Any:
    """The validated settings of one part, such as an audit: a block with a name, as it would stand in an experiment.

    Raises:
        InputError: listing every problem found.
    """
    block = _with_text_keys(content)
    for override in overrides:
        _override(block, override)
    holder = {registry.kind: block}
    problems = _fill(holder, registry.kind, (), registry) or list(idle(holder[registry.kind]))
    if problems:
        raise InputError(*(_located(place, problem, None) for place, problem in problems))
    return holder[registry.kind]


def _read(path: str | Path) -> tuple[Source, Mapping[str, Any]]:
    source = read_experiment(path)
    return source, source.content


def _with_text_keys(content: Any) -> Any:
    """A copy in which every key is text, as in an override's path, even where YAML reads a number."""
    if isinstance(content, Mapping):
        return {str(key): _with_text_keys(value) for key, value in content.items()}
    return [_with_text_keys(item) for item in content] if isinstance(content, list) else content


def _parse(content: Mapping[str, Any], source: Source | None) -> Experiment:
    tree: dict[str, Any] = copy.deepcopy(dict(content))
    if isinstance(tree.get("data"), dict) and isinstance(tree["data"].get("public"), dict):
        tree["data"]["public"] = [tree["data"]["public"]]
    problems: list[tuple[Location, Problem]] = []
    for pattern, registry in SLOTS.items():
        for holder, key, place in _find(tree, pattern):
            if holder[key] is not None or pattern not in OPTIONAL:
                problems += _fill(holder, key, place, registry)
    experiment = None
    try:
        experiment = Experiment.model_validate(tree)
    except ValidationError as error:
        problems += _translated(error, Experiment, ())
    if experiment is not None and not problems:
        problems += inconsistencies(experiment)
    if problems or experiment is None:
        raise InputError(*(_located(place, problem, source) for place, problem in problems))
    return experiment


def _find(tree: Any, pattern: Location, place: Location = ()) -> Iterator[tuple[Any, Any, Location]]:
    """Containers, keys and places in ``tree`` that match ``pattern``."""
    key, *rest = pattern
    keys = (
        range(len(tree))
        if key == "*" and isinstance(tree, list)
        else [key]
        if isinstance(tree, dict) and key in tree
        else []
    )
    for found in keys:
        if rest:
            yield from _find(tree[found], tuple(rest), (*place, found))
        else:
            yield tree, found, (*place, found)


def _fill(holder: Any, key: Any, place: Location, registry: Registry[Any]) -> list[tuple[Location, Problem]]:
    """Replace the block at ``holder[key]`` by the validated settings of the part it names."""
    block = {"name": holder[key]} if isinstance(holder[key], str) else holder[key]
    holder[key] = PLACEHOLDER
    if not isinstance(block, dict) or not isinstance(block.get("name"), str):
        advice = f"Write a name, or a block with a name. Known {registry.kind}: {', '.join(registry.names())}."
        return [(place, Problem("", "does not name a part.", advice))]
    try:
        settings = registry.load(block["name"]).Config
        holder[key] = settings.model_validate(block)
    except InputError as error:
        return [((*place, "name"), problem) for problem in error.problems]
    except ValidationError as error:
        return _translated(error, settings, place, block["name"])
    return []


def _translated(
    error: ValidationError, settings: type[BaseModel], place: Location, owner: str = ""
) -> list[tuple[Location, Problem]]:
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


def _located(place: Location, problem: Problem, source: Source | None) -> Problem:
    path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in place).lstrip(".")
    prefix = source.line_of(place) if source else ""
    return Problem(f"{prefix}{path}", problem.what, problem.advice)


def _override(content: MutableMapping[str, Any], override: str) -> None:
    """Set ``dotted.path=value`` in ``content``; the value is read as YAML."""
    path, equals, value = override.partition("=")
    if not equals or not path:
        raise InputError(
            Problem(override, "is not an override.", "Write dotted.path=value, for example training.optimizer.lr=0.05.")
        )
    *parents, last = path.split(".")
    holder: Any = content
    for key in parents:
        holder = _step(holder, key, override)
    given = _with_text_keys(read_value(value, override))
    holder[_number(holder, last, override) if isinstance(holder, list) else last] = given


def _step(holder: Any, key: str, override: str) -> Any:
    """The container at ``key``, made where it is missing or is the short form of a part."""
    if isinstance(holder, list):
        place: Any = _number(holder, key, override)
    else:
        place = key
        if holder.get(key) is None:
            holder[key] = {}
    if isinstance(holder[place], str):
        holder[place] = {"name": holder[place]}
    if not isinstance(holder[place], dict | list):
        raise InputError(
            Problem(override, f"'{key}' is a single value; nothing lies below it.", "Check the dotted path.")
        )
    return holder[place]


def _number(holder: Sequence[Any], key: str, override: str) -> int:
    if not key.isdigit() or int(key) >= len(holder):
        raise InputError(
            Problem(override, f"'{key}' is not a place in this list.", f"Count from 0 to {len(holder) - 1}.")
        )
    return int(key)
