"""What the laws ask methods of themselves; the one place here that knows how methods declare it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulator.core.method import Method


def neutral_settings(method: type[Method]) -> Mapping[str, Any] | None:
    """Settings under which ``method`` does nothing; None where it says that there are none."""
    return method.neutral


def rows_are_independent(method: Method) -> bool:
    """Whether ``method`` says that the loss of a sample depends on that sample alone."""
    return type(method).traits(method.config).row_wise
