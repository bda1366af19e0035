"""Files that are there whole or not at all: readers, and whoever comes after a crash, never see a part of one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

MANY = 64  # files that take longer one by one than all of the machine at once
DRAFT = re.compile(r"\.[0-9a-f]{12}\.draft")  # as `draft_name` makes it
SYSTEM = ("dev", "proc")  # where nothing can take the place of what is there


def write(path: Path, content: str | bytes) -> None:
    """Write ``content``, text as UTF-8, in the place of what was at ``path``.

    Raises:
        OSError: it cannot be written; what was there is as it was.
    """
    data = content.encode() if isinstance(content, str) else content
    if path.exists() and not path.is_file() and path.resolve().parts[1] in SYSTEM:  # a terminal, or standard output
        path.write_bytes(data)
        return
    with drafted(path) as draft:
        draft.write_bytes(data)


@contextmanager
def drafted(path: Path) -> Iterator[Path]:
    """Where to write what shall be at ``path``: it is moved there at the end, and is gone where something goes wrong.

    Raises:
        OSError: it cannot be written; what was there is as it was.
    """
    target = path.resolve()  # a link stays one
    draft = target.with_name(draft_name())
    try:
        yield draft
        sync(draft)
        os.replace(draft, target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def draft_name() -> str:
    """A name that is hidden, and nobody else's."""
    return f".{uuid4().hex[:12]}.draft"


def sync(path: Path) -> None:
    """Flush a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_all(paths: Sequence[Path]) -> None:
    """Flush files to the disk: one by one, or where they are many everything that the machine has written, at once."""
    if len(paths) > MANY:
        os.sync()
        return
    for path in paths:
        sync(path)
