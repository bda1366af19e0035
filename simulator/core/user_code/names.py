"""Names of parts that are not installed: ``my_file.py:Class`` and ``package.module:Class``.

In a resolved experiment, the name of a file's class holds the hash of the file, ``my_file.py@0123456789abcdef:Class``:
an experiment with other code is another experiment. A package's class is that of the package that is installed.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

from simulator.core.errors import did_you_mean, wrong
from simulator.core.user_code.files import KNOWN, UserFile, found
from simulator.core.user_code.modules import module_of

_CLASS = r"(?P<object>[^\W\d]\w*(\.[^\W\d]\w*)*)"
IN_A_FILE = re.compile(rf"(?P<file>.+?\.py)(@(?P<hash>[0-9a-f]{{16}}))?:{_CLASS}")
IN_A_MODULE = re.compile(rf"(?P<module>[^\W\d]\w*(\.[^\W\d]\w*)*)(@(?P<hash>[0-9a-f]{{16}}))?:{_CLASS}")


def pinned(name: str, folder: Path) -> str:
    """``name`` with the hash of the file that it speaks of, which is read; other names are as they were.

    Args:
        name: of a part.
        folder: where a relative path begins.

    Raises:
        InputError: the file is not there, cannot be carried along, or is not the one with the hash that is given.
    """
    match = IN_A_FILE.fullmatch(name)
    if not match:
        return name
    return f"{found(folder, match['file'], match['hash']).shown}:{match['object']}"


def file_named(name: str) -> UserFile | None:
    """The file that ``name``, which is `pinned`, speaks of; None if it speaks of none."""
    match = IN_A_FILE.fullmatch(name)
    return KNOWN.get(match["hash"] or "") if match else None


def module_named(name: str) -> str | None:
    """The module of a package that ``name`` speaks of; None if it speaks of none."""
    match = None if IN_A_FILE.fullmatch(name) else IN_A_MODULE.fullmatch(name)
    return match["module"] if match and not match["hash"] else None


def load(name: str) -> Any:
    """What ``name`` stands for, a class in a file or a package.

    Raises:
        InputError: it is no such name, or there is nothing of that name.
    """
    if IN_A_FILE.fullmatch(name):
        file = file_named(name) or file_named(pinned(name, Path()))
        assert file is not None  # pinned has read it
        return _inside(module_of(file), name, file.name)
    match = IN_A_MODULE.fullmatch(name)
    if not match:
        what = f"'{name}' is no name of a part."
        raise wrong("", what, "Write my_file.py:Class, package.module:Class, or a name without a colon.")
    if match["hash"]:
        what = f"'{name}' was handed over from Python, and its code was not kept."
        cure = f"Define {match['object']} there as it was and hand it to the registry of its kind with adopt, before"
        raise wrong("", what, f"{cure} you continue; or start anew with the class in a file: my_file.py:Class.")
    return _inside(_imported(match["module"], name), name, match["module"])


def _imported(module: str, name: str) -> Any:
    try:
        return import_module(module)
    except Exception as error:  # a stranger's module can raise anything
        kind = "" if isinstance(error, ImportError) else f"{type(error).__name__}: "
        near = f"{module.replace('.', '/')}.py"
        advice = (
            f"If it is a file, write {near}:{name.partition(':')[2]}; install packages where every worker has them."
        )
        raise wrong("", f"'{name}' cannot be imported: {kind}{error}.", advice) from error


def _inside(module: Any, name: str, home: str) -> Any:
    thing = module
    for step in name.rpartition(":")[2].split("."):
        if not hasattr(thing, step):
            classes = [key for key, value in vars(thing).items() if isinstance(value, type)]
            own = [key for key in classes if getattr(vars(thing)[key], "__module__", "") == module.__name__]
            raise wrong("", f"there is no '{step}' in {home}.", did_you_mean(step, own, "classes"))
        thing = getattr(thing, step)
    return thing
