"""An end of the time that a sweep is given, such as a batch system's or a lent machine's."""

from __future__ import annotations

import time
from collections.abc import Callable

from simulator.core.errors import wrong
from simulator.core.observer import Observer


class TimeLimit(Observer):
    """Has the run that it observes checkpointed after its round, and interrupted, once the time is over.

    Args:
        minutes: from now on; a run that is begun or continued does a round at least.
        clock: seconds that pass.

    Raises:
        InputError: ``minutes`` is not above 0.
    """

    def __init__(self, minutes: float, clock: Callable[[], float] = time.monotonic) -> None:
        if not minutes > 0:
            raise wrong("--minutes", f"is {minutes:g}.", "Give a number above 0, or leave it out.")
        self._clock, self._end = clock, clock() + 60 * minutes

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be begun."""
        return self._clock() >= self._end

    def asks_to_stop(self) -> bool:
        """Once the time is over."""
        return self.is_over
