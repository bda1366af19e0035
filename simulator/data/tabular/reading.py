"""CSV, JSON lines and Parquet files as pandas reads them, without what it would guess."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.core.errors import wrong

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
_INSTALL = "Install it: pip install 'rumormill[table]'"


def read_frame(file: Path, separator: str | None, decimal: str) -> pd.DataFrame:
    """What ``file`` holds; CSV as text, so that one rule judges what is a number.

    Args:
        file: CSV, JSON lines or Parquet.
        separator: of CSV; None: a tabulator in .tsv files, else a comma.
        decimal: what stands before the fraction in numbers of CSV.

    Raises:
        InputError: pandas or pyarrow is not installed, or the file cannot be read for what it should be.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise wrong("", "tables are read by pandas, which is not installed.", _INSTALL) from error
    try:
        if file.suffix.lower() == ".parquet":
            return pd.read_parquet(file)
        if file.suffix.lower() == ".jsonl":
            return pd.DataFrame(_json_lines(file), dtype=object)
        used = separator or ("\t" if file.suffix.lower() == ".tsv" else ",")
        # utf-8-sig: a byte order mark is no part of the first name.
        as_text = partial(
            pd.read_csv,
            file,
            sep=used,
            dtype=str,
            keep_default_na=False,
            encoding="utf-8-sig",
            skipinitialspace=True,
        )
        names, read = as_text(header=None, nrows=1).iloc[0].tolist(), as_text()
    except ImportError as error:
        raise wrong("", f"{file.name} is read by pyarrow, which is not installed.", _INSTALL) from error
    except (OSError, ValueError, UnicodeError) as error:  # pandas' and pyarrow's own are derived from these
        what = f"{file} cannot be read: {' '.join(str(error).split()).rstrip('.')}."
        raise wrong("path", what, "Save it as CSV (UTF-8, one row of names), JSON lines or Parquet.") from error
    if len(names) == 1 and (other := next((each for each in ",;\t|" if each != used and each in names[0]), None)):
        what = f"{file.name} has one column when it is cut at {used!r}, and its name has {other!r} in it."
        raise wrong("path", what, f"Save it with {used!r}; or set separator: {json.dumps(other)}, for all files.")
    if again := next((name for number, name in enumerate(names) if name and name in names[:number]), None):
        raise wrong("path", f"two columns of {file.name} are called '{again}'.", "Rename one.")
    if not isinstance(read.index, pd.RangeIndex):  # pandas takes what has no name for names of rows
        what = f"rows of {file.name} have more values than its first line has names."
        raise wrong("path", what, "Name all columns; or set separator, if it is another one.")
    return read if decimal == "." else read.map(lambda text: _with_point(text, decimal))


def _json_lines(file: Path) -> list[dict[str, Any]]:
    """The objects of a file, one a line; empty lines hold none.

    Raises:
        InputError: a line holds something else.
    """
    found = []
    for number, line in enumerate(file.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            what = f"{file.name}, line {number}, column {error.colno} is no JSON: {error.msg}."
            raise wrong("path", what, "Write one object a line, as {...}.") from error
        if not isinstance(value, dict):
            what = f"{file.name}, line {number} is no object, and the columns of a row have names."
            raise wrong("path", what, "Write one object a line, as {...}; a list of them is no JSON lines.")
        found.append(value)
    return found


def _with_point(text: str, decimal: str) -> str:
    return text.replace(decimal, ".") if text.strip("+-").replace(decimal, "", 1).isdigit() else text
