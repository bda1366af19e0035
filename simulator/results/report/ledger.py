"""What each node handed to each neighbour, added up over a run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import nan

import pyarrow as pa
import pyarrow.compute as pc

from simulator.core.report import Table


@dataclass
class TrafficCount:
    """Messages and bytes of a run.

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
    def of(cls, traffic: pa.Table) -> TrafficCount:
        """What `RunDirectory.traffic` has found, by link and part."""
        ledger = cls(rounds=pc.max(traffic["round"]).as_py() or 0)
        columns = ("sender", "receiver", "part", "bytes", "messages")
        for sender, receiver, part, size, count in zip(*(traffic[name].to_pylist() for name in columns), strict=True):
            ledger.wire += size
            if part is None:
                ledger.messages[sender, receiver] += count
            else:
                ledger.part_messages[part] += count
                ledger.parts[sender, receiver, part] += size
        return ledger

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
