"""How labels get further than a neighbour: every node passes on what is new to it, once."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from methods.idkd.wire import Table, join, split


class Flood:
    """One exchange as one node sees it.

    Attributes:
        begun: the round that the exchange began in; -1 where there is none.
        tables: what the node holds, by the node that made it.
    """

    def __init__(self, begun: int = -1) -> None:
        self.begun = begun
        self.tables: dict[int, Table] = {}
        self._news: dict[int, set[int]] = {}  # what to send in this round, and the neighbours that sent it here
        self._heard: dict[int, set[int]] = {}  # what will be news in the next round

    def add(self, node: int, table: Table) -> None:
        """The node's own table, to be sent to all neighbours."""
        self.tables[node], self._news[node] = table, set()

    def parts_for(self, receiver: int, sender: int) -> dict[str, Tensor]:
        """What is new at ``sender`` and did not come from ``receiver``, as parts of a message."""
        news = {origin: self.tables[origin] for origin, known in self._news.items() if receiver not in known}
        return join(news, sender)

    def hear(self, sender: int, parts: Mapping[str, Tensor]) -> None:
        """Keep the tables among ``parts`` that are not known yet."""
        for origin, table in split(parts, sender).items():
            if origin not in self.tables:
                self.tables[origin], self._heard[origin] = table, set()
            if origin in self._heard:
                self._heard[origin].add(sender)

    def end_round(self) -> None:
        """What was heard in this round is news in the next one."""
        self._news, self._heard = self._heard, {}

    def state_dict(self) -> dict[str, Tensor]:
        """What must survive between rounds."""
        tables = {f"table/{k}/{name}": part for k, table in self.tables.items() for name, part in table.items()}
        news = {f"news/{k}": torch.tensor(sorted(senders), dtype=torch.int64) for k, senders in self._news.items()}
        return {"begun": torch.tensor(self.begun)} | tables | news

    @classmethod
    def restored(cls, state: Mapping[str, Tensor]) -> Flood:
        """The exchange of which ``state`` was taken."""
        flood, tables = cls(int(state["begun"])), dict[int, dict[str, Tensor]]()
        for place in sorted(state.keys() - {"begun"}):
            kind, origin, *name = place.split("/")
            if kind == "table":
                tables.setdefault(int(origin), {})[name[0]] = state[place]
            else:
                flood._news[int(origin)] = set(state[place].tolist())
        flood.tables |= tables
        return flood
