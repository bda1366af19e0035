"""Ends what takes too long, for all questions at a port: a thread for each would cost more than its answer."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

TICK = 0.5  # seconds between two looks


class Alarm:
    """Watches from a thread of its own, until it is closed."""

    def __init__(self) -> None:
        self._due: dict[int, tuple[float, Callable[[], object]]] = {}
        self._numbers, self._closed = count(), threading.Event()
        threading.Thread(target=self._watch, name="alarm", daemon=True).start()

    @contextmanager
    def within(self, seconds: float, end: Callable[[], object]) -> Iterator[None]:
        """Call ``end`` if what is in the block takes longer, by at most a `TICK` more."""
        number = next(self._numbers)
        self._due[number] = time.monotonic() + seconds, end
        try:
            yield
        finally:
            self._due.pop(number, None)

    def close(self) -> None:
        """Watch no more."""
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(TICK):
            now = time.monotonic()
            for number, (at, end) in self._due.copy().items():
                late = self._due.pop(number, None) if at < now else None
                if late is not None:
                    _ended(end)


def _ended(end: Callable[[], object]) -> None:
    try:
        end()
    except Exception:  # the others are watched on
        traceback.print_exc()
