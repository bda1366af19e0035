"""NumPy's ``.npz`` files: the arrays of one, or of several, each of which is a site."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, is_zipfile

import numpy as np
from numpy.typing import NDArray

from simulator.core.capacity import check_memory
from simulator.core.errors import wrong
from simulator.data.kinds.kind import StoredArrays
from simulator.data.kinds.tokens import IDS, LENGTHS

Archive = Mapping[str, NDArray[Any]]
OTHER_LABELS = "y_train_"
_KNOWN = ("y_train", "y_test", "site_train", "site_test", "group_train", "group_test", "lengths_train", "lengths_test")
_STARTS = ("x_train", "x_test", OTHER_LABELS)
_HOW_TO_SAVE = "Save it with numpy.savez(path, x_train=..., y_train=..., x_test=..., y_test=...)."


def read(path: Path) -> Archive:
    """The arrays of a file that mean something to the data set ``npz``.

    Raises:
        InputError: it is no ``.npz``, does not fit into memory, holds Python objects, or has no ``x_train``.
    """
    if not is_zipfile(path):
        raise wrong("path", f"{path} is not an .npz file.", _HOW_TO_SAVE)
    try:
        with np.load(path, allow_pickle=False) as file:
            needed = sum(member.file_size for member in file.zip.infolist())
            check_memory(needed, f"{path}, unpacked,", "Keep fewer samples in it.", "path")
            names = list(file)
            arrays = {name: _native(file[name]) for name in names if _is_known(name)}
    except (OSError, EOFError, ValueError, MemoryError, NotImplementedError, BadZipFile, zlib.error) as error:
        advice = _HOW_TO_SAVE
        if "Object arrays" in str(error):  # NumPy's own words
            advice = "Give arrays of numbers: rows of unequal length have to be padded to one length."
        raise wrong("path", f"{path} cannot be read: {error}.", advice) from error
    if not any(name.startswith("x_train") for name in arrays):
        raise wrong("path", f"{path} has no array x_train; it holds {', '.join(names) or 'nothing'}.", _HOW_TO_SAVE)
    return arrays


def ignored(paths: Iterable[Path]) -> list[str]:
    """The names of arrays in these files, which can be read, that mean nothing to the data set ``npz``."""
    found = set[str]()
    for path in paths:
        with np.load(path, allow_pickle=False) as file:
            found |= {name for name in file if not _is_known(name)}
    return sorted(found)


def _is_known(name: str) -> bool:
    return name in _KNOWN or name.startswith(_STARTS)


def _native(array: NDArray[Any]) -> NDArray[Any]:
    """The same numbers in the order of bytes of this machine, which torch asks for."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def joined(archives: Mapping[str, Archive]) -> Archive:
    """All of them one after the other, with their names as sites.

    Raises:
        InputError: they do not hold the same arrays, or samples of different shapes.
    """
    first_name, first = next(iter(archives.items()))
    for name, archive in archives.items():
        if odd := sorted(set(first) ^ set(archive)):
            what = f"{first_name} and {name} do not hold the same arrays: {', '.join(odd)}."
            raise wrong("path", what, "Give all files the same arrays.")
        for key, array in archive.items():
            if array.shape[1:] != first[key].shape[1:]:
                what = f"{key} has shape {first[key].shape} in {first_name}, and {array.shape} in {name}."
                raise wrong("path", what, "Give all files samples of one shape.")
    arrays = {key: np.concatenate([archive[key] for archive in archives.values()]) for key in first}
    for split in ("train", "test"):
        inputs = next((key for key in first if key.startswith(f"x_{split}")), None)
        if inputs and f"site_{split}" not in arrays:
            arrays[f"site_{split}"] = np.repeat(list(archives), [len(archive[inputs]) for archive in archives.values()])
    return arrays


def inputs_of(arrays: Archive, name: str) -> StoredArrays | None:
    """The array called ``name``, or those called by it and a name of their own; None where there is neither.

    Raises:
        InputError: there are both.
    """
    parts = {key.removeprefix(f"{name}_"): array for key, array in arrays.items() if key.startswith(f"{name}_")}
    if name in arrays and parts:
        what = f"there is {name}, and also {name}_{min(parts)}."
        raise wrong("path", what, f"Give either one array, or several as {name}_NAME.")
    return arrays.get(name, parts or None)


def tokens(ids: StoredArrays, arrays: Archive, split: str) -> StoredArrays:
    """``ids`` with how many of each row are no padding, which ``lengths_train`` or ``lengths_test`` says, or else all.

    Raises:
        InputError: they are several arrays.
    """
    if not isinstance(ids, np.ndarray):
        raise wrong("vocabulary", f"x_{split} is several arrays.", "Tokens are one array, x_train; or set none.")
    full = np.full(len(ids), ids.shape[-1])
    lengths = arrays.get(f"lengths_{split}", full).astype(np.int32)
    return {IDS: ids.astype(np.int64) if ids.dtype.kind in "iu" and ids.dtype != np.uint16 else ids, LENGTHS: lengths}
