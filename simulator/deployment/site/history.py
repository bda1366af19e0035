"""What a ledger says has been sent and spent before: by whom, in which rounds, at what cost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import inf
from typing import Any, Literal, NamedTuple

from simulator.deployment.site.ledger import Line

BEGIN, MESSAGE, REPORT, STATISTICS = "begin", "message", "report", "statistics"  # kinds of lines
YEAR, DAY = timedelta(days=365), timedelta(days=1)


class Sender(NamedTuple):
    """A node in a run."""

    run: str
    node: int


class Spent(NamedTuple):
    """Epsilon and delta; infinite where something was sent without a promise."""

    epsilon: float
    delta: float


class History:
    """Reads a ledger, and goes on reading where it was appended to.

    Args:
        lines: of the ledger; there may be more of them later.
    """

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines, self._seen = lines, 0
        self._sent: dict[tuple[Any, ...], str] = {}
        self._spent: dict[Sender, tuple[datetime, Spent]] = {}
        self._rounds: dict[tuple[Sender, int], datetime] = {}
        self._begun: dict[Sender, dict[str, Any]] = {}
        self._experiments: dict[Sender, set[str]] = {}
        self._latest: datetime | None = None

    def begun(self, sender: Sender) -> dict[str, Any] | None:
        """What was written when ``sender`` was last admitted; None if it never was."""
        self._take()
        return self._begun.get(sender)

    def experiments(self, sender: Sender) -> set[str]:
        """The hashes of the experiments that ``sender`` was ever admitted with."""
        self._take()
        return self._experiments.get(sender, set())

    def sent(self, sender: Sender, round: int, exchange: int, to: str) -> str | None:
        """The hash of what it has said there before; None if it has said nothing."""
        self._take()
        return self._sent.get((sender, round, exchange, to))

    def spent_by_others(self, sender: Sender, over: Literal["run", "year", "all_runs"], now: datetime) -> Spent:
        """The sums over all other runs (and nodes of this site) that count; every promise adds to the others."""
        self._take()
        since = {"run": now, "year": now - YEAR}.get(over)
        costs = [
            cost
            for other, (when, cost) in self._spent.items()
            if other != sender and over != "run" and (since is None or when >= since)
        ]
        return Spent(sum(cost.epsilon for cost in costs), sum(cost.delta for cost in costs))

    def rounds_of_a_day(self, now: datetime) -> set[tuple[Sender, int]]:
        """Whose messages of which rounds have left in the last 24 hours."""
        self._take()
        return {key for key, when in self._rounds.items() if when >= now - DAY}

    def _take(self) -> None:
        for line in self._lines[self._seen :]:
            sender, when = Sender(line["run"], line["node"]), datetime.fromisoformat(line["time"])
            if line["what"] == BEGIN:
                self._begun[sender] = dict(line)
                self._experiments.setdefault(sender, set()).add(line["experiment"])
            if line["what"] == MESSAGE:
                self._sent[sender, line["round"], line["exchange"], line["to"]] = line["content"]
                self._rounds.setdefault((sender, line["round"]), when)
            if line["what"] == STATISTICS:  # before round 1, and so in none
                self._sent[sender, line["round"], line["exchange"], line["to"]] = line["content"]
            if line["what"] == STATISTICS or (line["what"] in (MESSAGE, REPORT) and line["round"]):
                self._spend(sender, self._not_before(when), line)
        self._seen = len(self._lines)

    def _not_before(self, when: datetime) -> datetime:
        """``when``, or the time of an earlier line that is later: a clock that was set back makes nothing older."""
        self._latest = max(when, self._latest or when)
        return self._latest

    def _spend(self, sender: Sender, when: datetime, line: Line) -> None:
        epsilon = inf if line["epsilon"] is None else line["epsilon"]
        _, before = self._spent.get(sender, (when, Spent(0.0, 0.0)))
        self._spent[sender] = when, Spent(max(before.epsilon, epsilon), max(before.delta, line["delta"] or 0.0))
