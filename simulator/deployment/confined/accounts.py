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
    executable = Path(sys.executable)  # of an environment of its own, a link
    needed = [executable.resolve(), executable, *(Path(str(found.origin)) for found in map(find_spec, USED) if found)]
    with as_user(user):
        closed = next((place for path in needed if (place := _closed(path))), None)
    if closed is None:
        return
    name = pwd.getpwuid(user).pw_name
    what = f"{name} cannot use the Python that runs here: {closed} is closed to it."
    raise wrong(option, what, "Install Rumormill where every account can read it, such as below /opt.")


def _closed(path: Path) -> Path | None:
    """The outermost folder on the way to ``path`` that cannot be entered, or itself where it cannot be read."""
    for folder in reversed(path.parents):
        if not os.access(folder, os.X_OK, effective_ids=True):
            return folder
    return None if os.access(path, os.R_OK, effective_ids=True) else path
