"""What a check is given: a class, a name, settings or an object."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from simulator.core.registry import Part, PartSettings, Registry
from simulator.core.user_code.names import pinned

P = TypeVar("P", bound=Part)


def class_and_settings(registry: Registry[P], given: Any, config: PartSettings | None) -> tuple[type[P], PartSettings]:
    """The class that is ``given`` and its settings: ``config``, those of the object that is given, or its defaults.

    Raises:
        InputError: there is no such part of this kind.
    """
    if isinstance(given, PartSettings):
        return registry.load(given.name), given
    if isinstance(given, Part):
        return registry.checked(type(given), type(given).__name__), given.config
    part = registry.load(pinned(given, Path())) if isinstance(given, str) else registry.checked(given, str(given))
    return part, config or part().config
