"""Where a run comes from: versions, machine, command line, state of the checkout."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("rumormill", "torch", "numpy", "networkx", "scikit-learn", "pydantic")


def provenance(code: Mapping[str, Any]) -> dict[str, Any]:
    """What ``provenance.json`` says beside the run's status.

    Args:
        code: of the parts that are in no installed package, by name: the hash of the text that was run.
    """
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "versions": dict(_versions()),
        "python": platform.python_version(),
        "platform": platform.platform(),
        **_checkout(),
        **({"code": dict(code)} if code else {}),
    }


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    """Of this process: a package that is installed anew while it lives is not loaded anew."""
    return tuple((name, version(name)) for name in PACKAGES)


@cache
def _checkout() -> Mapping[str, Any]:
    """Of the first look, which comes nearest to what was loaded."""
    return {"git": _git("rev-parse", "HEAD"), "git_changes": bool(_git("status", "--porcelain"))}


def _git(*arguments: str) -> str | None:
    """What git says of the checkout this code runs from; None where it is installed without one."""
    try:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
