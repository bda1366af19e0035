"""What each node handed to each neighbour, added up over a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import nan
from typing import Any

from simulator.core.report import Table


@dataclass
class TrafficCount:
    """Messages and bytes, counted in one pass over ``messages.jsonl``.

    Attributes:
        messages: number of messages of each directed edge (sender, receiver).
        part_messages: number of messages that carried a part.
        parts: algorithmic bytes of each (sender, receiver, part).
        wire: bytes of all messages as encoded.
        rounds: rounds up to the last one with a message.
    """

    messages: Counter[tuple[int, int]] = field(default_factory=Counter)
    part_messages: Counter[str] = field(default_factory=Counter)
    parts: Counter[tuple[int, int, str]] = field(default_factory=Counter)
    wire: int = 0
    rounds: int = 0

    @classmethod
    def of(cls, messages: Iterable[Mapping[str, Any]]) -> TrafficCount:
        """The traffic of ``messages``, counted."""
        ledger = cls()
        for message in messages:
            ledger.add(message)
        return ledger

    def add(self, message: Mapping[str, Any]) -> None:
        """Count one more message."""
        sender, receiver = message["sender"], message["receiver"]
        self.messages[sender, receiver] += 1
        self.wire += message["wire"]
        self.rounds = max(self.rounds, message["round"])
        for part, size in message["parts"].items():
            self.part_messages[part] += 1
            self.parts[sender, receiver, part] += size

    @property
    def total(self) -> int:
        """Algorithmic bytes of all messages."""
        return self.parts.total()

    def by_part(self) -> Counter[str]:
        """Algorithmic bytes of each part."""
        sums: Counter[str] = Counter()
        for (_, _, part), size in self.parts.items():
            sums[part] += size
        return sums

    def by_sender(self) -> Counter[int]:
        """Algorithmic bytes that each node sent."""
        sums: Counter[int] = Counter()
        for (sender, _, _), size in self.parts.items():
            sums[sender] += size
        return sums

    def part_table(self) -> Table:
        """Bytes by part, their sum, and what encoding adds to it."""
        total, count = self.total, self.messages.total()
        sizes = [(part, self.part_messages[part], size) for part, size in self.by_part().items()]
        sizes += [
            ("all parts", count, total),
            ("encoding", count, self.wire - total),
            ("on the wire", count, self.wire),
        ]
        rows = [(name, messages, size, 100 * size / total if total else nan) for name, messages, size in sizes]
        return Table(("part", "messages", "bytes", "share, %"), rows)

    def edge_table(self) -> Table:
        """One row for each directed edge, one column for each part."""
        parts = list(self.by_part())
        rows: list[tuple[str | int, ...]] = []
        for (sender, receiver), count in sorted(self.messages.items()):
            sizes = [self.parts[sender, receiver, part] for part in parts]
            rows.append((str(sender), str(receiver), count, *sizes, sum(sizes)))
        return Table(("sender", "receiver", "messages", *parts, "bytes"), rows)
