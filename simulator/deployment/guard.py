"""Outlives a deployment's owner, however that dies: ends what it has started, and removes its folder, keys included.

Started as a script, with the deployment's folder and what is to be removed as arguments; its standard input is a pipe
that closes with the owner. Knows the standard library alone, so that it is there at once and takes next to nothing.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MARK = "RUMORMILL_DEPLOYMENT"  # in the environment of every process of a deployment, those they start included
AGAIN = 0.2  # seconds: what is started while others end is found the next time
SECONDS = 20.0  # at most


def marked(folder: Path) -> list[int]:
    """The numbers of all processes that bear the mark of the deployment in ``folder`` and still run."""
    mark = f"{MARK}={folder}".encode()
    return [int(p.name) for p in Path("/proc").glob("[0-9]*") if mark in _environment_of(p).split(b"\0")]


def end(folder: Path) -> None:
    """End them all at once."""
    deadline = time.monotonic() + SECONDS
    while (left := marked(folder)) and time.monotonic() < deadline:
        for process in left:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(AGAIN)


@contextmanager
def guarded(folder: Path) -> Iterator[None]:
    """Have what bears the mark of ``folder`` ended, and the folder around it removed, whatever ends the block.

    The guard does not bear the mark itself, and Ctrl-C is not for it.
    """
    command = [sys.executable, "-I", str(Path(__file__).resolve()), str(folder), str(folder.parent)]
    environment = {name: value for name, value in os.environ.items() if name != MARK}
    guard = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, start_new_session=True)
    try:
        yield
    finally:
        guard.communicate()


def _environment_of(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:  # ended in the meantime, or another user's
        return b""


def _guard(folder: Path, removed: Path) -> None:
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()  # returns when the owner has died, or closes it
    end(folder)
    shutil.rmtree(removed, ignore_errors=True)


if __name__ == "__main__":
    _guard(Path(sys.argv[1]), Path(sys.argv[2]))
