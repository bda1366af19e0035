"""Confines this process and then becomes the node's program: ``python -m ...launcher SETTINGS``, as JSON.

What it executes before that is installed here; no code of an experiment is among it.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from simulator.deployment.confined import isolation
from simulator.deployment.frames import send

PROGRAM = "simulator.deployment.confined.program"


def main() -> None:
    """Confine this process, or say on the socket what is missing for that."""
    settings = json.loads(sys.argv[1])
    try:
        _confine(settings)
        os.execve(sys.executable, [sys.executable, "-Iu", "-m", PROGRAM, str(settings["socket"])], dict(os.environ))
    except (isolation.NotPossible, OSError) as error:
        with socket.socket(fileno=settings["socket"]) as to:
            send(to, {"error": "confinement", "text": f"it cannot be confined: {error}"})
        sys.exit(1)


def _confine(settings: dict[str, Any]) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    isolation.first_without_memory()
    if settings["user"] is not None:
        isolation.without_network()
        isolation.with_own_disk(settings["scratch"], settings["user"])
        isolation.as_user(settings["user"], settings["group"], settings["groups"])
        if found := next(_open_to_it(settings["unreadable"]), None):
            raise isolation.NotPossible(f"its user can read {found}: let the administrator alone read it")
    isolation.without_outliving()
    isolation.without_writing(but=settings["scratch"])
    isolation.without_rights()
    isolation.without_other_ways_out()


def _open_to_it(paths: Sequence[str]) -> Iterator[str]:
    """Those that this user can read."""
    return (path for path in paths if os.access(path, os.R_OK))


if __name__ == "__main__":
    main()
