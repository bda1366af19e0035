"""How much of the disk a run takes, and what for."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path


def sizes(folder: Path) -> Mapping[str, int]:
    """Bytes by first folder, "checkpoints" for example, and of the files beside those under ""; links take nothing.

    What disappears meanwhile, or may not be looked into, counts as nothing.
    """
    found = Counter[str]()
    beside, inside = _entries(str(folder))
    found[""] = beside
    for path in inside:
        found[os.path.basename(path)], left = 0, [path]
        while left:
            bytes, deeper = _entries(left.pop())
            found[os.path.basename(path)] += bytes
            left += deeper
    return found


def _entries(folder: str) -> tuple[int, list[str]]:
    """Bytes of the files in ``folder``, and the folders in it."""
    bytes, folders = 0, list[str]()
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            elif not entry.is_symlink():
                with suppress(OSError):
                    bytes += entry.stat(follow_symlinks=False).st_size
    return bytes, folders
