"""The files of a deployment's folders: readable by others where that is harmless, by their owner alone where not."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from simulator.core import atomic
from simulator.core.errors import wrong

EXPERIMENT = "experiment.yaml"  # of the deployment, and of every node's own folder
SECRET = stat.S_IRUSR | stat.S_IWUSR
PRIVATE = stat.S_IRWXU  # folders: a node's state is its model
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def write(file: Path, content: str | bytes, secret: bool = False, executable: bool = False) -> None:
    """Write ``content`` in the place of what was at ``file``, whole or not at all; its folder is made.

    Args:
        file: where.
        content: text as UTF-8, or bytes.
        secret: whether the file's owner alone may read it.
        executable: whether it is a script.
    """
    file.parent.mkdir(PRIVATE, parents=True, exist_ok=True)
    with atomic.drafted(file) as draft:
        draft.touch(SECRET if secret else 0o755 if executable else 0o644)
        draft.write_bytes(content.encode() if isinstance(content, str) else content)


def read(file: Path, advice: str) -> bytes:
    """What is in ``file``.

    Raises:
        InputError: it cannot be read; the ``advice`` says what to do.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise wrong(str(file), f"cannot be read: {error.strerror}.", advice) from error


def read_secret(file: Path, advice: str) -> bytes:
    """What is in ``file``, a private key.

    Raises:
        InputError: it cannot be read, or others than its owner can.
    """
    content = read(file, advice)
    if mode := os.stat(file).st_mode & OTHERS:
        what = f"others than its owner can use this private key: its permissions are {mode | SECRET:o}."
        raise wrong(str(file), what, f"Make new keys if others have a login here; else: chmod 600 {file}")
    return content
