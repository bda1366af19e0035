"""How files of a run are read: whatever is wrong with one of them is an `InputError` that names it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from simulator.core.errors import InputError, RumormillError, wrong
from simulator.core.strict_json import loads

ADVICE = "It is damaged or of another program: bring it back from a copy, or run the experiment again."
MOST = 30  # files that are named
LONGEST = 200  # of what is told of an error, which may quote the file


class Arrays(dict[str, NDArray[Any]]):
    """The arrays of an ``.npz`` file, by name; one that is asked for and missing is told with the file."""

    def __init__(self, file: Path, arrays: dict[str, NDArray[Any]]) -> None:
        super().__init__(arrays)
        self._file = file

    def __missing__(self, name: str) -> NDArray[Any]:
        raise wrong(str(self._file), f"has no array {name}.", ADVICE)


@contextmanager
def reading(file: Path, advice: str = ADVICE) -> Iterator[None]:
    """Read and understand ``file``, and nothing else: any exception means that it cannot be used.

    Raises:
        InputError: naming ``file``.
    """
    try:
        if file.exists() and not file.is_file():
            raise ValueError("it is no file")
        yield
    except InputError:
        raise
    except Exception as error:  # what a damaged file does to a parser is not to be foreseen
        raise wrong(str(file), f"cannot be read: {_told(error)}.", advice) from error


@contextmanager
def understanding(what: str, files: Iterable[Path]) -> Iterator[None]:
    """Make something of ``files``, each of which could be read: an exception means that one is not what it should be.

    Raises:
        InputError: naming them.
    """
    try:
        yield
    except RumormillError:
        raise
    except Exception as error:
        *known, last = [file.name for file in sorted(files)] or ["none"]
        names = f"{', '.join(known[:MOST])}{' ...' if len(known) > MOST else ''} or {last}" if known else last
        raise wrong(what, f"cannot be understood: {_told(error)}.", f"A file is damaged: {names}.") from error


def read_json(file: Path, of: TypeAdapter[Any] | None = None) -> Any:
    """The content of a JSON file, which is as ``of`` says.

    Raises:
        InputError: it is missing or damaged.
    """
    with reading(file):
        content = loads(file.read_text(encoding="utf-8"))
        if of is not None:
            of.validate_python(content, strict=True)
        return content


def read_arrays(file: Path) -> Arrays:
    """The arrays of an ``.npz`` file.

    Raises:
        InputError: it is missing or damaged.
    """
    # numpy does not close a file that it opened itself and then finds to be no archive
    with reading(file), file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        return Arrays(file, {name: arrays[name] for name in arrays.files})


def read_lines(file: Path, of: TypeAdapter[Any]) -> Iterator[dict[str, Any]]:
    """The records of a JSON-lines file, each a dictionary as ``of`` says; a last line cut short is left out.

    Raises:
        InputError: a line is damaged.
    """
    if not file.exists():
        return
    with reading(file), file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith("\n"):
                return
            yield read_record(line, of, f"{file}:{number}")


def read_record(line: str | bytes, of: TypeAdapter[Any], where: str) -> dict[str, Any]:
    """The record on a ``line`` of a JSON-lines file, a dictionary as ``of`` says.

    Raises:
        InputError: the line is damaged; placed at ``where``.
    """
    with suppress(ValidationError):  # as of numbers that have names, which are no JSON
        found: dict[str, Any] = of.validate_json(line, strict=True)
        return found
    try:
        record: dict[str, Any] = loads(line)
        of.validate_python(record, strict=True)
    except (ValueError, RecursionError) as error:
        raise wrong(where, f"cannot be read: {_told(error)}.", ADVICE) from error
    return record


def _told(error: Exception) -> str:
    """What is wrong, on one line."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        text = f"{'.'.join(map(str, first['loc']))}: {first['msg']}".removeprefix(": ")
    elif isinstance(error, KeyError):
        text = f"there is no {error}"
    else:
        text = (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__
    return " ".join(text.split())[:LONGEST].rstrip(".")
