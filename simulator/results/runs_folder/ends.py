"""The last lines of files that only grow, however long these are."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

STEPS = (2**14, 2**18, 2**22)  # bytes to look at, and no more


def last_lines(file: Path, enough: Callable[[Sequence[bytes]], bool] = bool) -> list[bytes]:
    """The last whole lines of ``file``, as few of them as are ``enough``; none where there is no file.

    A line that is being written, without its end, is left out. Where the largest of `STEPS` is not enough, nothing is.

    Raises:
        OSError: it cannot be read.
    """
    try:
        stream = file.open("rb")
    except FileNotFoundError:
        return []
    with stream:
        size = stream.seek(0, os.SEEK_END)
        for step in STEPS:
            start = max(0, size - step)
            stream.seek(start)
            first, *lines = stream.read(size - start).split(b"\n")
            whole = [first, *lines][:-1] if start == 0 else lines[:-1]
            if start == 0 or enough(whole):
                return whole
    return []
