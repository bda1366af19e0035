"""How far a run has got, told to another process."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import nan

from simulator.core.message import Envelope
from simulator.core.observer import Observer, RunInfo, Speed
from simulator.core.report import Metric
from simulator.results.headline import Headline

PAUSE = 0.25  # seconds between two reports at least


@dataclass(frozen=True)
class Progress:
    """How far a run has got.

    Attributes:
        rounds: how many it has.
        first: how many were done when it was started or continued.
        round: how many are done.
        score: its headline metric, with its name; empty before the first evaluation.
        seconds_left: by the mean time of a round so far; not a number before the first.
        notes: what a user should know of it.
    """

    rounds: int
    first: int
    round: int
    score: str = ""
    seconds_left: float = nan
    notes: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """How much of what was left to do is done, from 0 to 1."""
        return (self.round - self.first) / max(1, self.rounds - self.first)


class Reporter(Observer):
    """Hands on how far a run has got, every now and then.

    Args:
        tell: takes it.
        clock: seconds that pass.
    """

    def __init__(self, tell: Callable[[Progress], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._tell, self._clock = tell, clock

    def started(self, info: RunInfo) -> None:
        """Tell how many rounds there are."""
        self._progress = Progress(info.rounds, info.rounds_done, info.rounds_done, notes=info.notes)
        self._restart_clock()
        self._report()

    def sent(self, round: int, messages: Sequence[Envelope]) -> None:
        """Tell it, unless something was told a moment ago."""
        self._advance(round)
        if self._clock() - self._told >= PAUSE:
            self._report()

    def evaluated(self, round: int, metrics: Sequence[Metric], speed: Speed) -> None:
        """Tell the score."""
        network = {metric.name: metric.value for metric in metrics if metric.node is None}
        headline = Headline.among(network)
        score = f"{headline.words} {headline.text(network.get(headline.mean, nan))}"
        self._progress = replace(self._progress, score=score)
        if round == 0:
            self._restart_clock()  # building up and the first evaluation say nothing of the rounds to come
        self._advance(round)
        self._report()

    def recovered(self, round: int, reason: str) -> None:
        """Count from there."""
        self._progress = replace(self._progress, round=round)
        self._restart_clock()

    def _restart_clock(self) -> None:
        self._since, self._from = self._clock(), self._progress.round

    def _advance(self, round: int) -> None:
        done, left = round - self._from, self._progress.rounds - round
        seconds = (self._clock() - self._since) / done * left if done > 0 else nan
        self._progress = replace(self._progress, round=round, seconds_left=seconds)

    def _report(self) -> None:
        self._tell(self._progress)
        self._told = self._clock()
