"""Executes the text of a user's files: each is one module, of the same name in every process."""

from __future__ import annotations

import ast
import linecache
import re
import sys
import traceback
from collections.abc import Sequence
from types import ModuleType

from simulator.core.errors import InputError, RumormillError, wrong
from simulator.core.user_code.files import KNOWN, UserFile
from simulator.core.user_code.imports import Renaming, parsed

HASHED = re.compile(r'(File "[^"]*\.py)@[0-9a-f]+(?=")')


def module_of(file: UserFile) -> ModuleType:
    """The module that ``file`` makes, executed the first time that it is asked for.

    Raises:
        InputError: its code raises something; told with its own lines.
    """
    if file.module in sys.modules:
        return sys.modules[file.module]
    for other in file.beside.values():
        module_of(other)
    renaming = Renaming({name: other.module for name, other in file.beside.items()})
    tree = ast.fix_missing_locations(renaming.visit(parsed(file.text, file.name)))
    # Tracebacks quote what was executed, on every machine, and whatever has become of the file.
    linecache.cache[file.shown] = (len(file.text), None, file.text.splitlines(keepends=True), file.shown)
    module = sys.modules[file.module] = ModuleType(file.module)
    try:
        exec(compile(tree, file.shown, "exec"), vars(module))
    except (Exception, SystemExit) as error:
        del sys.modules[file.module]
        raise _failed(file, error) from error
    return module


def file_of(module: str) -> UserFile | None:
    """The file that the module of this name was made of; None if it was made of none."""
    file = KNOWN.get(module.rpartition("_")[2])
    return file if file and file.module == module else None


def shown(steps: Sequence[traceback.FrameSummary]) -> str:
    """The lines of a traceback, in which users' files go by their names, without the hash of the text that was read."""
    code = "".join(traceback.format_list(list(steps))).rstrip().replace("\n", "\n  ")
    return HASHED.sub(r"\1", code)


def _failed(file: UserFile, error: BaseException) -> InputError:
    """What to tell of an ``error`` that executing ``file`` raised, with the lines of the user's own files."""
    steps = [step for step in traceback.extract_tb(error.__traceback__) if step.filename == file.shown]
    where = f"{file.name}:{steps[-1].lineno}" if steps else file.name
    told = str(error) if isinstance(error, RumormillError) else "".join(traceback.format_exception_only(error)).strip()
    code = shown(steps)
    return wrong(where, f"cannot be executed: {told}\n  {code}", "Correct the file.")
