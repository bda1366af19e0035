"""Modules that only this process has, such as a script's own: what they define goes to the actors by value."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType

from ray import cloudpickle

from simulator.core.user_code.modules import file_of
from simulator.core.user_code.objects import LOCAL, is_installed


@contextmanager
def local_modules_by_value() -> Iterator[None]:
    """Pickle classes and functions of the modules in `LOCAL` as a whole and not by name, as long as the block lasts.

    So are those of other modules that these use and no package has: on other machines their files are missing. Ray does
    so by itself with what stands in ``__main__`` or a notebook, but not with what that uses.
    """
    with ExitStack() as registered:
        for name in sorted(_with_used(LOCAL & sys.modules.keys()) - {"__main__"}):
            cloudpickle.register_pickle_by_value(sys.modules[name])
            registered.callback(cloudpickle.unregister_pickle_by_value, sys.modules[name])
        yield


def _with_used(names: set[str]) -> set[str]:
    """The modules ``names`` and all that nobody has installed of what their globals come from."""
    found, left = set[str](), list(names)
    while left:
        if (name := left.pop()) not in found:
            found.add(name)
            values = vars(sys.modules[name]).values()
            used = {each.__name__ if isinstance(each, ModuleType) else _module(each) for each in values}
            left += [each for each in used & sys.modules.keys() if not is_installed(each) and file_of(each) is None]
    return found


def _module(value: object) -> str:
    name = getattr(value, "__module__", None)
    return name if isinstance(name, str) else ""
