"""What comes of a sweep, and of each of its runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class Failure:
    """A run that could not be carried out; ``path`` is None where it could not even start."""

    label: str
    message: str
    path: Path | None


@dataclass
class Outcome:
    """What came of a sweep: directories of the finished runs, and what failed."""

    paths: list[Path] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    interrupted: bool = False


@dataclass(frozen=True)
class Ended:
    """How the attempt at a run has ended.

    Attributes:
        status: "lost" where the process that carried it out has died.
        path: its directory; None where it could not even start.
        message: why it failed.
        disk: whether it failed for want of a disk, as all others would.
    """

    status: Literal["finished", "interrupted", "failed", "lost"]
    path: Path | None = None
    message: str = ""
    disk: bool = False
