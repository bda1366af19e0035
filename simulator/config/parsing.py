"""From plain data to an `Experiment`: parts validated by their own settings, every problem reported at once."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from simulator.config.consistency import inconsistencies
from simulator.config.experiment import Experiment
from simulator.config.older import modernised
from simulator.config.part_blocks import fill, placed, translated, written_out
from simulator.config.schema_file import PLACE, fill_schema
from simulator.config.slots import DEFAULTS, OPTIONAL, SLOTS, places
from simulator.config.trace_files import PLACES as TRACES
from simulator.config.trace_files import fill_trace
from simulator.config.yaml_file import Location, Source, read_experiment, read_value
from simulator.core.acting import idle
from simulator.core.errors import InputError, Problem
from simulator.core.registry import Part, Registry


def load_experiment(
    what: str | Path | Mapping[str, Any],
    overrides: Sequence[str] = (),
    *,
    recorded: bool = False,
    folder: Path | None = None,
) -> Experiment:
    """An experiment from a YAML file, the name of a built-in recipe, or plain data.

    Args:
        what: path, recipe name, or the experiment as nested mappings, in which parts may be classes or objects.
        overrides: settings to change, such as ``"rounds=10"`` or ``"methods.0.beta=0.5"``; values are read as YAML.
        recorded: it is what a run has written down: settings without effect had none there either, and are let be.
        folder: where paths of parts' files (``my_file.py:Class``) begin in plain data and in overrides, by default the
            working directory; in a file, they begin in the file's own folder.

    Raises:
        InputError: listing every problem found, with line numbers of what stands in a file; or, where there is none,
            every setting that is chosen and has no effect, unless an override of another one made it so.
    """
    source, given = (None, what) if isinstance(what, Mapping) else _read(what)
    content = _with_text_keys({**DEFAULTS, **given})
    for override in overrides:
        _override(content, override)
    modernised(content)
    if "mixer" not in given and content.get("mode") == "asynchronous" and content["mixer"] == DEFAULTS["mixer"]:
        content["mixer"] = "pair_average"
    experiment = _parse(content, source, overrides, folder or Path())
    without_effect = [] if recorded else [each for each in idle(experiment) if not _made_idle(each[0], overrides)]
    if without_effect:
        raise InputError(*_placed(without_effect, source, overrides))
    return experiment


def _made_idle(place: Location, overrides: Sequence[str]) -> bool:
    """Whether an override beside the setting at ``place`` may have done so, and none has chosen it."""
    setting = tuple(map(str, place))
    beside = any(path[: len(setting) - 1] == setting[:-1] for path in _paths(overrides))
    return beside and not _is_chosen(place, overrides)


def _is_chosen(place: Location, overrides: Sequence[str]) -> bool:
    """Whether one of ``overrides`` sets what stands at ``place``, by itself or with what is around it."""
    setting = tuple(map(str, place))
    return any(path == setting[: len(path)] for path in _paths(overrides))


def _paths(overrides: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(override.partition("=")[0].split(".")) for override in overrides]


def load_part(registry: Registry[Any], content: Mapping[str, Any], overrides: Sequence[str] = ()) -> Any:
    """The validated settings of one part, such as an audit: a block with a name, as it would stand in an experiment.

    Raises:
        InputError: listing every problem found.
    """
    block = _with_text_keys(content)
    for override in overrides:
        _override(block, override)
    holder = {registry.kind: block}
    problems = fill(holder, registry.kind, (), registry, Path()) or list(idle(holder[registry.kind]))
    if problems:
        raise InputError(*(placed(place, problem) for place, problem in problems))
    return holder[registry.kind]


def _read(path: str | Path) -> tuple[Source, Mapping[str, Any]]:
    source = read_experiment(path)
    return source, source.content


def _with_text_keys(content: Any) -> Any:
    """A copy in which every key is text, as in an override's path, even where YAML reads a number."""
    if isinstance(content, Mapping):
        return {str(key): _with_text_keys(value) for key, value in content.items()}
    return [_with_text_keys(item) for item in content] if isinstance(content, list | tuple) else content


def _parse(content: Mapping[str, Any], source: Source | None, overrides: Sequence[str], folder: Path) -> Experiment:
    tree: dict[str, Any] = copy.deepcopy(dict(content))
    if isinstance(tree.get("data"), dict) and isinstance(tree["data"].get("public"), dict):
        tree["data"]["public"] = [tree["data"]["public"]]
    problems: list[tuple[Location, Problem]] = []
    for pattern, registry in SLOTS.items():
        for holder, key, place in places(tree, pattern):
            if holder[key] is not None or pattern not in OPTIONAL:
                in_file = source is not None and not _is_chosen((*place, "name"), overrides)
                problems += fill(holder, key, place, registry, source.folder if source and in_file else folder)
    in_file = source is not None and not _is_chosen(PLACE, overrides)
    problems += fill_schema(tree, source.folder if source and in_file else folder)
    for where in TRACES:
        in_file = source is not None and not _is_chosen(where, overrides)
        problems += fill_trace(tree, where, source.folder if source and in_file else folder)
    experiment = None
    try:
        experiment = Experiment.model_validate(tree)
    except ValidationError as error:
        problems += translated(error, Experiment, ())
    if experiment is not None and not problems:
        problems += inconsistencies(experiment)
    if problems or experiment is None:
        raise InputError(*_placed(problems, source, overrides))
    return experiment


def _placed(
    problems: Iterable[tuple[Location, Problem]], source: Source | None, overrides: Sequence[str]
) -> Iterator[Problem]:
    """The problems, with the lines of the file that they come from, but for those of what an override has set."""
    for place, problem in problems:
        yield placed(place, problem, None if _is_chosen(place, overrides) else source)


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
    if isinstance(holder[place], str | type | Part):
        holder[place] = written_out(holder[place])
    if not isinstance(holder[place], dict | list):
        raise InputError(
            Problem(override, f"'{key}' is a single value; nothing lies below it.", "Check the dotted path.")
        )
    return holder[place]


def _number(holder: Sequence[Any], key: str, override: str) -> int:
    if not key.isdigit() or int(key) >= len(holder):
        whole = f"Give the list as a whole, {override.partition(f'.{key}')[0]}=[...]: it is empty."
        advice = f"Count from 0 to {len(holder) - 1}." if holder else whole
        raise InputError(Problem(override, f"'{key}' is not a place in this list.", advice))
    return int(key)
