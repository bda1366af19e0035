"""Settings of earlier versions, read as what they are called now; whoever wrote them is told."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, MutableMapping
from typing import Any


def modernised(content: MutableMapping[str, Any]) -> None:
    """Rename in ``content``, in place, what counted rounds from 0: they are counted from 1 everywhere now.

    Warns with a `FutureWarning` for each setting, saying what it was read as.
    """
    methods = content.get("methods")
    for place, method in enumerate(methods if isinstance(methods, list) else ()):
        if isinstance(method, dict) and "start_round" in method and "first_round" not in method:
            was = method.pop("start_round")
            method["first_round"] = _later(was)
            _tell(f"methods[{place}].start_round", was, "first_round", method["first_round"])
    failures = _at(content, "topology", "failures")
    if isinstance(failures, dict) and "away" in failures and "absences" not in failures:
        was = failures.pop("away")
        failures["absences"] = [_absence(each) for each in was] if isinstance(was, list | tuple) else was
        _tell("topology.failures.away", was, "absences", failures["absences"])


def _at(content: Any, *keys: str) -> Any:
    for key in keys:
        content = content.get(key) if isinstance(content, Mapping) else None
    return content


def _absence(given: Any) -> Any:
    """(node, first round, last round), the rounds counted from 1."""
    if isinstance(given, list | tuple) and len(given) == 3:
        return [given[0], _later(given[1]), _later(given[2])]
    return given


def _later(round: Any) -> Any:
    return round + 1 if isinstance(round, int) and not isinstance(round, bool) else round


def _tell(where: str, was: Any, name: str, now: Any) -> None:
    message = f"{where} counts rounds from 0 and has another name now: {was} was read as {name}: {now}, from 1."
    warnings.warn(message, FutureWarning, stacklevel=4)
