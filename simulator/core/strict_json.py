"""JSON that any reader can read: it has no NaN and no Infinity, which Python would write all the same.

They are written as text, "NaN", "Infinity" and "-Infinity", as in the JSON mapping of Protocol Buffers, and read back
as numbers.
"""

from __future__ import annotations

import json
from math import isfinite, isnan
from typing import Any

NAMES = ("NaN", "Infinity", "-Infinity")


def dumps(content: Any, indent: int | None = None) -> str:
    """``content`` as JSON text; keys are text."""
    return json.dumps(_named(content), indent=indent, allow_nan=False)


def loads(text: str | bytes) -> Any:
    """The content of what `dumps` wrote; also of a file in which such numbers stand bare.

    Raises:
        ValueError: the text is not JSON.
    """
    return _numbers(json.loads(text))


def _named(value: Any) -> Any:
    match value:
        case dict():
            return {key: _named(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_named(inner) for inner in value]
        case float() if not isfinite(value):
            return "NaN" if isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _numbers(value: Any) -> Any:
    match value:
        case dict():
            return {key: _numbers(inner) for key, inner in value.items()}
        case list():
            return [_numbers(inner) for inner in value]
        case str() if value in NAMES:
            return float(value)
    return value
