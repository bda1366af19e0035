"""Waiting for what an actor was asked to do: what went wrong there is raised here as what it was there."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from textwrap import shorten
from typing import Any

import ray
from ray.exceptions import (
    ActorUnschedulableError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    RayError,
    RayTaskError,
    WorkerCrashedError,
)

from simulator.core.backend import WorkerLost
from simulator.core.errors import RunError

DEATHS = (
    ActorUnschedulableError,
    RayActorError,
    WorkerCrashedError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
)
GLANCE = 2.0  # seconds between two looks at whether Ray itself still lives


def result(worker: int, reference: Any, check: Callable[[], None], until: float = math.inf) -> Any:
    """What ``worker`` gives back; ``check`` is called before and while it is waited for.

    Args:
        worker: its number.
        reference: Ray's, to what is waited for.
        check: raises what there is to raise once waiting makes no sense.
        until: the end of patience, by `time.monotonic`; training has none, as long as who trains is alive.

    Raises:
        WorkerLost: its process has died, or that of another one which it depends on.
        TimeoutError: patience is at an end.
        RunError: Ray itself failed.
        Exception: what was raised at the worker, its traceback there as the cause.
    """
    try:
        check()
        while not ray.wait([reference], timeout=GLANCE, fetch_local=False)[0]:
            if time.monotonic() > until:
                raise TimeoutError
            check()
        return ray.get(reference)
    except RayError as error:
        root = _root(error)
        if isinstance(root, DEATHS):
            raise WorkerLost(f"worker {worker} was lost: {_told(root)}") from error
        if isinstance(root, RayError):
            advice = "Every machine needs the same packages as this one, and room in memory and on its disk."
            raise RunError(f"Ray failed at worker {worker}: {_told(root)}.\n    {advice}") from error
        raise root from error


def _root(error: Exception) -> Exception:
    """What was raised first: an error in an argument fails the next call, and so on."""
    while isinstance(error, RayTaskError):
        error = error.cause
    return error


def _told(error: Exception) -> str:
    """One line of the many that Ray writes; what is known of a death stands between two phrases of the last one."""
    last = (str(error).splitlines() or [type(error).__name__])[-1]
    known = last.rpartition("Worker exit detail: ")[2].partition(" Some common causes")[0]
    return shorten(known, 200).rstrip(".")
