"""How much of the disk a run takes, and what for."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path


def sizes(folder: Path) -> Mapping[str, int]:
    """Bytes by first folder, "checkpoints" for example, and of the files beside those under ""; links take nothing.

    What disappears meanwhile, or may not be looked into, counts as nothing.
    """
    found = Counter[str]()
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            inside = entry.is_dir(follow_symlinks=False)
            found[entry.name if inside else ""] += sum(_files(entry))
    return found


def _files(entry: os.DirEntry[str]) -> Iterator[int]:
    with suppress(OSError):
        if not entry.is_dir(follow_symlinks=False):
            yield 0 if entry.is_symlink() else entry.stat(follow_symlinks=False).st_size
            return
        with os.scandir(entry) as entries:
            for inner in entries:
                yield from _files(inner)
