"""Settings that do nothing under the values of others: a block declares when each acts, and one walk finds the idle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel

from simulator.core.errors import Problem

GIVEN = object()  # any value but None, 0, false and an empty one


@dataclass(frozen=True, init=False)
class If:
    """A setting acts if one of these others has the value named, or one of several, or holds it where it is a list."""

    others: Mapping[str, Any]
    wanted: ClassVar[bool] = True

    def __init__(self, **others: Any) -> None:
        object.__setattr__(self, "others", others)

    def holds(self, settings: BaseModel) -> bool:
        """Whether it does in these ``settings``."""
        return any(_has(getattr(settings, name), value) for name, value in self.others.items()) == self.wanted

    def problem(self, setting: str, settings: BaseModel) -> Problem:
        """What to tell where it does not."""
        now = ", ".join(f"{name}: {_shown(getattr(settings, name))}" for name in self.others)
        change = " or ".join(f"{name}: {_choices(value)}" for name, value in self.others.items())
        advice = f"Set {change}" if self.wanted else f"Set another {' or '.join(self.others)}"
        return Problem("", f"has no effect with {now}.", f"{advice}, or leave {setting} out.")


class Unless(If):
    """The opposite: a setting acts if none of these others has the value named."""

    wanted: ClassVar[bool] = False


Acts = Mapping[str, If]


def idle(settings: BaseModel, place: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Problem]]:
    """Settings in ``settings`` and below that differ from their default and cannot act, with their places.

    A block declares them as the class variable ``acts``: by the name of a setting, or a dotted path to one below, `If`
    or `Unless` of others of the block; what its base classes declare holds too. A default says nothing of what anybody
    wants, so it is never told, wherever it is written out; nor is a setting that has to be given.
    """
    for base in type(settings).__mro__:
        for path, condition in vars(base).get("acts", {}).items():
            *parents, name = path.split(".")
            block = settings
            for parent in parents:
                block = getattr(block, parent)
            if _is_chosen(block, name) and not condition.holds(settings):
                yield (*place, *parents, name), condition.problem(name, settings)
    for name in type(settings).model_fields:
        yield from _below(getattr(settings, name), (*place, name))


def _below(value: Any, place: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Problem]]:
    if isinstance(value, BaseModel):
        yield from idle(value, place)
    elif isinstance(value, list | tuple | Mapping):
        for key, item in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _below(item, (*place, key))


def _is_chosen(block: BaseModel, name: str) -> bool:
    field = type(block).model_fields[name]
    return not field.is_required() and getattr(block, name) != field.get_default(call_default_factory=True)


def _has(now: Any, value: Any) -> bool:
    if value is GIVEN:
        return bool(now)
    wanted = value if isinstance(value, tuple) else (value,)
    return any(each in now for each in wanted) if isinstance(now, tuple) else now in wanted


def _shown(value: Any) -> str:
    """As in an experiment file."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(_shown, value))}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _choices(value: Any) -> str:
    if value is GIVEN:
        return "..."
    return " or ".join(map(_shown, value)) if isinstance(value, tuple) else _shown(value)
