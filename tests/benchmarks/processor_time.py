"""Processor time of everything that a benchmark has started: Ray's servers and actors, hosts, and their children."""

from __future__ import annotations

import os
from contextlib import suppress

import psutil


def processor_seconds() -> float:
    """Seconds, user and system, of this process and all its descendants since they began.

    What has ended counts with those that waited for it. Of two readings, the difference is what was used in between, if
    whoever started what ended in between is alive at the second one.
    """
    mine = os.times()
    used = mine.user + mine.system + mine.children_user + mine.children_system
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            times = process.cpu_times()
            used += times.user + times.system + times.children_user + times.children_system
    return used
