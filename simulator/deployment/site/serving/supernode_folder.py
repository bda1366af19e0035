"""What a SuperNode needs on its own disk where the site has a process of its own: no data, no policy, one key."""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from simulator.core.plain_yaml import read_yaml
from simulator.deployment.files import write
from simulator.deployment.instructions import START
from simulator.deployment.keys.private import SUPERNODE

PUBLIC = ("ca.crt", f"{SUPERNODE}.pub")


def write_supernode_folder(folder: Path, node: Path, socket: Path, owner: int) -> None:
    """Write ``folder``, of the user ``owner``, for the node in the folder ``node``, whose site is asked at ``socket``.

    The key in it is the one by which the SuperLink knows the SuperNode; it opens nothing else.
    """
    settings = dict(read_yaml((node / "node.yaml").read_text(encoding="utf-8"), "node.yaml").content)
    settings = {**settings, "data": None, "socket": str(socket)}
    files = {"node.yaml": yaml.safe_dump(settings, sort_keys=False).encode(), "start.sh": START.encode()}
    files |= {name: (node / name).read_bytes() for name in (*PUBLIC, SUPERNODE)}
    for name, content in files.items():
        write(folder / name, content, secret=name == SUPERNODE, executable=name == "start.sh")
    for path in (folder, *folder.iterdir()):
        if owner != os.geteuid():
            os.chown(path, owner, -1)
