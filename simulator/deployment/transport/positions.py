"""Exchanges counted through a run: what neighbours ask each other for is the message at a position."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Positions:
    """Rounds and exchanges count from 1, as in a `Message`, and positions from 0, in the order of the run.

    Where a round has one exchange, the position is the number of rounds before it.

    Attributes:
        exchanges: of a round.
    """

    exchanges: int

    def of(self, round: int, exchange: int) -> int:
        """The position of an ``exchange`` of ``round``."""
        return (round - 1) * self.exchanges + exchange - 1

    def split(self, position: int) -> tuple[int, int]:
        """The round and the exchange at ``position``."""
        before, exchange = divmod(position, self.exchanges)
        return before + 1, exchange + 1

    def before(self, position: int) -> int:
        """How many rounds come before that of ``position``; -1 before the first one."""
        return position // self.exchanges

    def named(self, position: int) -> str:
        """``position`` in words."""
        return named(*self.split(position))


ONCE = Positions(exchanges=1)


def named(round: int, exchange: int) -> str:
    """An exchange in words; the first one of a round goes without saying, as it does in a run's files."""
    return f"round {round}, exchange {exchange}" if exchange > 1 else f"round {round}"
