"""Signals to this process, heard for the length of a block."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def hearing(numbers: Collection[signal.Signals], handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Have ``handler`` called at the signals ``numbers`` within the block, and those called after it that were before.

    In another thread than the main one, which hears none, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
