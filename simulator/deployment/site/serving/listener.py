"""The socket at which a site's own process is asked: one user's alone, who is asked for each time who he is."""

from __future__ import annotations

import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from simulator.core.errors import wrong

CREDENTIALS = struct.Struct("3i")  # process, user and group, as Linux gives them
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
OWNER_ONLY = 0o177  # a mask


@contextmanager
def listening(path: Path, client: int) -> Iterator[socket.socket]:
    """The socket at ``path``, to which the user ``client`` can connect.

    Raises:
        InputError: it cannot be made there, or others could put another one in its place.
    """
    try:
        path.parent.mkdir(0o755, parents=True, exist_ok=True)
        resolved = path.parent.resolve()
        for folder in (resolved, *resolved.parents):
            _check(folder)
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as listener:
            mask = os.umask(OWNER_ONLY)
            try:
                listener.bind(str(path))
            finally:
                os.umask(mask)
            if client != os.geteuid():
                os.chown(path, client, -1, follow_symlinks=False)
            listener.listen()
            yield listener
    except OSError as error:
        raise wrong(str(path), f"no socket can be made there: {error.strerror or error}.", "Give --socket.") from error
    finally:
        path.unlink(missing_ok=True)


def user_of(connection: socket.socket) -> int:
    """The number of the user whose process has connected, as the kernel knows it."""
    given = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    return int(CREDENTIALS.unpack(given)[1])


def _check(folder: Path) -> None:
    found = folder.stat()
    written = found.st_mode & OTHERS_WRITE and not found.st_mode & stat.S_ISVTX
    if written or found.st_uid not in (0, os.geteuid()):
        what = "is a folder in which others could put a socket of their own in the place of this one."
        raise wrong(str(folder), what, f"Let its owner alone, and no other account, write it: chmod go-w {folder}")
