"""Other accounts of this host: acting with their rights, and whether they can use the Python that runs here."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from simulator.core.errors import wrong

USED = ("json", "simulator", "torch", "numpy")  # of which each comes from another place: standard library, this, others


@contextmanager
def as_user(user: int) -> Iterator[None]:
    """Have that user's rights, and no more, until the block ends."""
    own, group, groups = os.geteuid(), os.getegid(), os.getgroups()
    if user == own:
        yield
        return
    account = pwd.getpwuid(user)
    os.setgroups(os.getgrouplist(account.pw_name, account.pw_gid))
    os.setegid(account.pw_gid)
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(own)
        os.setegid(group)
        os.setgroups(groups)


def check_python(option: str, user: int) -> None:
    """Whether ``user`` can execute this Python, and read what is installed with it.

    Raises:
        InputError: something on the way there is closed to that account.
    """
    executable = Path(sys.executable)
    needed = [executable, executable.resolve(), *(Path(str(found.origin)) for found in map(find_spec, USED) if found)]
    with as_user(user):
        closed = next((place for path in needed for place in _on_the_way(path) if not _open(place)), None)
    if closed is None:
        return
    name = pwd.getpwuid(user).pw_name
    what = f"{name} cannot use the Python that runs here: {closed} is closed to it."
    raise wrong(option, what, "Install Rumormill where every account can read it, such as below /opt.")


def _on_the_way(path: Path) -> list[Path]:
    """All folders that lead to ``path``, the outermost first, and then itself."""
    return [*reversed(path.parents), path]


def _open(path: Path) -> bool:
    right = os.X_OK if path.is_dir() else os.R_OK
    return os.access(path, right, effective_ids=True)
