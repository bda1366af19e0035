"""Parts found by name through entry points: ours and a stranger's package come in by the same door.

A part is a class with a nested pydantic ``Config``; its block in the experiment file is validated by that ``Config``
and handed to the constructor, which stores it and does nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from simulator.core.errors import did_you_mean, wrong


class Settings(BaseModel):
    """Base of every block of settings: frozen, and no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)


class PartSettings(Settings):
    """Settings of a named part; ``name`` says which part."""

    name: str


class Part:
    """Base of everything that is chosen by name."""

    Config: ClassVar[type[PartSettings]] = PartSettings

    def __init__(self, config: Any) -> None:
        self.config = config


P = TypeVar("P", bound=Part)


@dataclass(frozen=True)
class Registry(Generic[P]):
    """The parts of one kind, for example ``Registry("methods")`` for the entry points ``rumormill.methods``."""

    kind: str

    @property
    def group(self) -> str:
        """The entry-point group a package declares its parts in."""
        return f"rumormill.{self.kind}"

    def names(self) -> list[str]:
        """All known names, sorted."""
        return sorted(_entry_points(self.group))

    def load(self, name: str) -> type[P]:
        """The class called ``name``.

        Raises:
            InputError: no such name (with the nearest one), or its package cannot be imported.
        """
        known = _entry_points(self.group)
        if name not in known:
            raise wrong("", f"unknown name '{name}'.", did_you_mean(name, list(known), self.kind))
        try:
            part: type[P] = known[name].load()
        except ImportError as error:
            what = f"'{name}' cannot be imported: {error}."
            raise wrong("", what, f"It is declared as {known[name].value}.") from error
        return part

    def build(self, config: PartSettings) -> P:
        """The part that ``config`` describes."""
        return self.load(config.name)(config)


@cache
def _entry_points(group: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=group)}
