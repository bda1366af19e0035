"""What pydantic would convert, although it hardly means what it says: `yes` as the number 1, `010` as 10."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel

_LEADING_ZERO = re.compile(r"\s*[-+]?0[0-9_]+\s*")
_SURROGATE = re.compile("[\ud800-\udfff]")
_NUMBERS = (int, float)


def check_literally(given: Any, annotation: Any) -> None:
    """Check a setting's value, before it is validated, against what its ``annotation`` allows.

    Blocks of settings below it are left to their own check.

    Raises:
        ValueError: a yes or no where only a number fits, a number with leading zeros, or text that no file can hold.
    """
    kinds = set(_kinds(annotation))
    if isinstance(given, Mapping) and any(isinstance(kind, type) and issubclass(kind, BaseModel) for kind in kinds):
        given = list(given)
    for value in _values(given):
        if isinstance(value, str) and _SURROGATE.search(value):
            raise ValueError(f"holds {_SURROGATE.findall(value)[0]!r}, half a character, which no file can hold")
        if kinds & {Any, bool} or not kinds & set(_NUMBERS):
            continue
        if isinstance(value, bool):
            raise ValueError(f"should be a number, and {'yes' if value else 'no'} is none")
        if isinstance(value, str) and str not in kinds and _LEADING_ZERO.fullmatch(value):
            raise ValueError(f"should be a number without leading zeros, which some read as one to base 8: {value}")


def _kinds(annotation: Any) -> Iterator[Any]:
    """The types that an annotation is made of, such as int and NoneType of ``tuple[int, ...] | None``."""
    if arguments := get_args(annotation):
        for argument in arguments:
            yield from _kinds(argument)
    elif isinstance(annotation, type) or annotation is Any:
        yield annotation


def _values(given: Any) -> Iterator[Any]:
    if isinstance(given, Mapping):
        for key, value in given.items():
            yield key
            yield from _values(value)
    elif isinstance(given, list | tuple):
        for item in given:
            yield from _values(item)
    else:
        yield given
