"""Parts found by name through entry points: ours and a stranger's package come in by the same door.

A part is a class with a nested pydantic ``Config``; its block in the experiment file is validated by that ``Config``
and handed to the constructor, which stores it and does nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

from simulator.core.errors import did_you_mean, wrong
from simulator.core.literal_values import check_literally
from simulator.core.signatures import check_signatures


class Settings(BaseModel):
    """Base of every block of settings: frozen, and no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)

    @field_validator("*", mode="before")
    @classmethod
    def _as_it_was_meant(cls, given: Any, info: ValidationInfo) -> Any:
        check_literally(given, cls.model_fields[info.field_name or ""].annotation)
        return given


class PartSettings(Settings):
    """Settings of a named part; ``name`` says which part."""

    name: str


class Part:
    """Base of everything that is chosen by name."""

    Config: ClassVar[type[PartSettings]] = PartSettings

    def __init__(self, config: Any) -> None:
        self.config = config


P = TypeVar("P", bound=Part)
RENAMED = {("audits", "wise"): "early_exit"}


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
            InputError: no such name (with the nearest one), two packages claim it, it cannot be imported, or it is no
                part whose hooks can be called.
        """
        known = _entry_points(self.group)
        if (self.kind, name) in RENAMED and name not in known:
            now = RENAMED[self.kind, name]
            raise wrong("", f"'{name}' is called {now} now.", f"Write {now}.")
        if name not in known:
            raise wrong("", f"unknown name '{name}'.", did_you_mean(name, list(known), self.kind))
        if len(claims := sorted({point.value for point in known[name]})) > 1:
            what = f"'{name}' is declared by several packages: as {' and as '.join(claims)}."
            raise wrong("", what, "Rename one, or uninstall its package.")
        part: type[P] = _loaded(known[name][0])
        return part

    def build(self, config: PartSettings) -> P:
        """The part that ``config`` describes."""
        return self.load(config.name)(config)


@cache
def _entry_points(group: str) -> dict[str, list[EntryPoint]]:
    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=group):
        found.setdefault(point.name, []).append(point)
    return found


def _loaded(point: EntryPoint) -> type[Any]:
    """What ``point`` stands for; the code of a stranger's module can raise anything."""
    try:
        part = point.load()
    except Exception as error:
        kind = "" if isinstance(error, ImportError) else f"{type(error).__name__}: "
        what = f"'{point.name}' cannot be imported: {kind}{error}."
        raise wrong("", what, f"It is declared as {point.value}.") from error
    if not (isinstance(part, type) and issubclass(part, Part)):
        what = f"'{point.name}' is declared as {point.value}, which is no class of a part."
        raise wrong("", what, "Derive it from the base class of its kind, for example simulator.core.method.Method.")
    check_signatures(part, Part)
    return part
