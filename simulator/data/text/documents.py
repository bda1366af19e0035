"""Documents as they are found: in the columns of a file, in files that a column names, or each in a file of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import wrong
from simulator.core.paths import place
from simulator.data import locations
from simulator.data.tabular.frames import Columns, as_labels, column, is_missing, read_columns
from simulator.data.tabular.reading import SUFFIXES

_NAME = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Documents:
    """Texts, and what is known of each.

    Attributes:
        texts: one a document.
        names: of documents, for errors.
        columns: what else is known, by name, in the order of the texts.
    """

    texts: list[str]
    names: list[str]
    columns: Mapping[str, NDArray[Any]]

    def column(self, name: str, where: str) -> NDArray[Any]:
        """The column ``name``, without gaps.

        Raises:
            InputError: there is none, or some documents lack it; placed under the setting ``where``.
        """
        values = column(self.columns, name, where)
        if count := int(is_missing(values).sum()):
            raise wrong(where, f"{count:,} documents have no '{name}'.", "Fill it in, or leave them out of the file.")
        return as_labels(values)


def in_files(folder: Path) -> Documents:
    """The .txt files below ``folder``, by path; the column "folder" says in which folder each lies, from there."""
    paths = sorted(path for path in folder.rglob("*.txt") if path.is_file() and not path.name.startswith("."))
    if not paths:
        raise wrong("path", f"{folder} holds no .txt files.", "Give a folder of .txt, or CSV, JSON lines or Parquet.")
    folders = np.array([path.parent.relative_to(folder).as_posix() for path in paths])
    return Documents([_text(path) for path in paths], [path.name for path in paths], {"folder": folders})


def in_columns(files: Sequence[Path], text: str | None, text_file: str | None) -> Documents:
    """The rows of ``files``, with one of their columns as text, or with the text of the files that they name.

    Args:
        files: CSV, JSON lines or Parquet; "file" is a column that says which each row is from.
        text: the column.
        text_file: path of a row's file, with names of columns in braces, from the folder of ``files``.

    Raises:
        InputError: there is no such column or file, or a text is missing.
    """
    columns, file = read_columns(files, missing=("",))
    columns = {"file": file, **columns}
    rows = [f"row {row}" for row in range(1, len(file) + 1)]
    if text_file is not None:
        paths = [_filled(text_file, columns, row) for row in range(len(rows))]
        return Documents([_text(files[0].parent / path) for path in paths], paths, columns)
    if text is None:
        raise wrong("text", "nothing says which column is the text.", "Set text to its name; or text_file.")
    values = column(columns, text, "text")
    gaps = is_missing(values)
    if gaps.any():
        what = f"{int(gaps.sum()):,} of {len(values):,} rows have no text in '{text}'."
        raise wrong("text", what, f"Leave them out of the file, the first of them row {int(gaps.argmax()) + 1}.")
    return Documents([str(value) for value in as_labels(values)], rows, columns)


def found(paths: Path | Sequence[Path], root: Path, text: str | None, text_file: str | None, where: str) -> Documents:
    """The documents at ``paths``: in a folder of .txt files, or in the files that `in_columns` reads.

    Raises:
        InputError: there are none; placed under ``where``.
    """
    if isinstance(paths, Path):
        full = place(paths, root, where)
        if full.is_dir() and not any(path.suffix.lower() in SUFFIXES for path in full.iterdir()):
            return in_files(full)
    return in_columns(locations.files(paths, root, SUFFIXES, where), text, text_file)


def _filled(pattern: str, columns: Columns, row: int) -> str:
    def value(match: re.Match[str]) -> str:
        return str(as_labels(column(columns, match[1], "text_file")[row : row + 1])[0])

    path = _NAME.sub(value, pattern)
    if Path(path).is_absolute() or ".." in Path(path).parts:
        raise wrong("text_file", f"row {row + 1} names {path}, outside of the folder.", "Name files in or below it.")
    return path


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise wrong("path", f"{path} cannot be read as UTF-8 text: {error}.", "Save it as UTF-8.") from error
