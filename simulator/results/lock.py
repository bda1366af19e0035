"""One process at a time writes into a run directory, or sweeps into a folder of them."""

from __future__ import annotations

import fcntl
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from simulator.core.errors import InputError, wrong

FILE = ".lock"
HOLDER = re.compile(r"process (\d+) on (.+)", re.DOTALL)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep ``folder`` for this process alone, as long as the context lasts.

    The system gives the lock back when the process ends, however it does. The file ``.lock`` stays: it tells only who
    had the folder last.

    Raises:
        InputError: another process has it, or it cannot be locked.
    """
    try:
        descriptor = os.open(
            folder / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644
        )
    except OSError as error:
        raise wrong(
            str(folder), f"cannot be written: {error.strerror}.", "Take a copy that you may write to."
        ) from error
    try:
        _take(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def holder(folder: Path) -> str | None:
    """Which process has ``folder`` for itself at this moment, in words; None where none has, or that cannot be told."""
    try:
        descriptor = os.open(folder / FILE, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    told = ""
    try:
        told = _last_holder(descriptor)
        if not _has_ended(told):  # asking for the lock could be in the way of a process that is about to take it
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        return told
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _has_ended(told: str) -> bool:
    """Whether ``told`` is of a process of this machine that is no more."""
    found = HOLDER.fullmatch(told)
    if not found or found[2] != socket.gethostname():
        return False
    try:
        os.kill(int(found[1]), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:  # another user's
        return False
    return False


def _last_holder(descriptor: int) -> str:
    return os.pread(descriptor, 100, 0).decode(errors="replace") or "another process"


def _take(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
    except BlockingIOError as error:
        raise _taken(descriptor, folder) from error
    except OSError as error:
        advice = "Use a file system that has locks (flock), such as a local disk."
        raise wrong(str(folder), f"cannot be locked: {error.strerror}.", advice) from error


def _taken(descriptor: int, folder: Path) -> InputError:
    what = f"is being written by {_last_holder(descriptor)}."
    return wrong(str(folder), what, "Wait until it has ended, or stop it.")
