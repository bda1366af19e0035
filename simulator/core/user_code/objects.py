"""Classes that are handed over from Python and not installed: from a notebook, or from a script's own module."""

from __future__ import annotations

import hashlib
import inspect
import sys
import sysconfig
import uuid
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

from simulator.hidden import PACKAGES


def is_ours(module: str) -> bool:
    """Whether ``module`` is one of this project's."""
    return module.partition(".")[0] in PACKAGES


def is_installed(module: str) -> bool:
    """Whether ``module`` belongs to an installed package, so that workers elsewhere can have it too."""
    root, file = module.partition(".")[0], getattr(sys.modules.get(module), "__file__", None)
    if is_ours(module) or root in sys.stdlib_module_names:
        return True
    places = [Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")]
    inside = file is not None and any(place in Path(file).parents for place in places)
    return inside or root in _distributed()


@cache
def _distributed() -> frozenset[str]:
    return frozenset(packages_distributions())


def is_reached(part: type) -> bool:
    """Whether ``part`` is what its module has under its name; it is not where a function has made it."""
    found: object = sys.modules.get(part.__module__)
    for step in part.__qualname__.split("."):
        found = getattr(found, step, None)
    return found is part


LOCAL: set[str] = set()  # modules of classes that were added or handed over, which only this process has


def note_local(part: type) -> None:
    """Put the modules of ``part`` and its base classes into `LOCAL`, unless workers can import them."""
    LOCAL.update(each.__module__ for each in part.__mro__ if not is_installed(each.__module__))


def source_of(part: type) -> str | None:
    """The text of the class ``part``; None where nobody can give it, as of what was typed at a prompt."""
    try:
        return inspect.getsource(part)
    except (OSError, TypeError, IndentationError, SyntaxError):
        return None


def hash_of(part: type) -> str | None:
    """Identifies the text of the class ``part``; None where there is none."""
    text = source_of(part)
    return None if text is None else hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def name_of(part: type) -> str:
    """``module@hash:Class``: the hash is that of its text or, without a text, one that no other class has."""
    return f"{part.__module__}@{hash_of(part) or uuid.uuid4().hex[:16]}:{part.__qualname__.rpartition('<locals>.')[2]}"
