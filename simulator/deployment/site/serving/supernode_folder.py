"""What a SuperNode needs on its own disk where the site has a process of its own: no data, no policy, one key."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import yaml

from simulator.core.errors import wrong
from simulator.core.plain_yaml import read_yaml
from simulator.deployment.confined.accounts import as_user
from simulator.deployment.files import write
from simulator.deployment.instructions import HOST, START
from simulator.deployment.keys.private import SUPERNODE

PUBLIC = ("ca.crt", f"{SUPERNODE}.pub")


def write_supernode_folder(folder: Path, node: Path, socket: Path, owner: int) -> None:
    """Write ``folder``, of the user ``owner``, for the node in the folder ``node``, whose site is asked at ``socket``.

    The key in it is the one by which the SuperLink knows the SuperNode; it opens nothing else. It is written with the
    rights of ``owner`` alone, whose links could lead anywhere.

    Raises:
        InputError: the owner cannot write there.
    """
    settings = dict(read_yaml((node / "node.yaml").read_text(encoding="utf-8"), "node.yaml").content)
    settings = {**settings, "data": None, "socket": str(socket)}
    host = Path(sys.executable).with_name(HOST)  # by its path, since sudo looks for programs in places of its own
    start = START.replace(HOST, shlex.quote(str(host)))
    files = {"node.yaml": yaml.safe_dump(settings, sort_keys=False).encode(), "start.sh": start.encode()}
    files |= {name: (node / name).read_bytes() for name in (*PUBLIC, SUPERNODE)}
    try:
        with as_user(owner):
            for name, content in files.items():
                write(folder / name, content, secret=name == SUPERNODE, executable=name == "start.sh")
    except OSError as error:
        what = f"cannot be written by the SuperNode's user: {error.strerror}."
        raise wrong(str(folder), what, "Give a folder below one of that user's own.") from error
