"""Modules that only this process has, such as a script's own: what they define goes to the actors by value."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from ray import cloudpickle

from simulator.core.user_code.objects import LOCAL


@contextmanager
def local_modules_by_value() -> Iterator[None]:
    """Pickle classes and functions of the modules in `LOCAL` as a whole and not by name, as long as the block lasts.

    Ray does so by itself with what stands in ``__main__`` or a notebook.
    """
    with ExitStack() as registered:
        for name in sorted(LOCAL & sys.modules.keys() - {"__main__"}):
            cloudpickle.register_pickle_by_value(sys.modules[name])
            registered.callback(cloudpickle.unregister_pickle_by_value, sys.modules[name])
        yield
