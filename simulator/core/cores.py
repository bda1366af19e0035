"""The processor cores of this machine."""

from __future__ import annotations

import os


def core_numbers() -> list[int]:
    """The numbers of those that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def cores() -> int:
    """How many of them there are."""
    return len(core_numbers())
