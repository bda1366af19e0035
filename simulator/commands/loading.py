"""What takes seconds to import, imported in less: what is loaded stays, and nobody looks through it for garbage."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Around a command's imports: no garbage is collected meanwhile, and what is there at the end never counts as such.

    It would be looked for hundreds of times, among more and more objects, and next to none found. Where PyTorch, which
    has most of them, is loaded already, nothing changes: by then there may be garbage.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
