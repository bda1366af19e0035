"""What a view is: what some attackers hold of a run, and where they stand in the network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar

from auditing.order import in_order
from auditing.views.position import AttackScene, Position
from simulator.core.errors import InputError, Problem
from simulator.core.registry import Part, Registry

# In results and reports views stand in this order, and those of other packages after them.
ORDER = (
    *("final_model", "distance", "consensus", "message", "mixed", "update", "guessed_update", "marginalized"),
    *("all_rounds", "trajectory", "first_to_last", "coalition", "global", "labels", "all_labels"),
)


class Unseen(InputError):
    """There is nothing to see from a view in this run."""

    def __init__(self, view: str, what: str, advice: str) -> None:
        super().__init__(Problem(f"--view {view}", what, advice))
        self.view = view


class View(Part, ABC):
    """What some attackers hold of a run; override `positions`, and `in_round` where rounds can be told apart.

    The first line of its docstring says who they are, in `rumormill list views`.

    Attributes:
        alone: whether it may be reported without others.
    """

    alone: ClassVar[bool] = True

    @abstractmethod
    def positions(self, scene: AttackScene) -> Iterable[Position]:
        """Where such attackers stand in the network of ``scene``, about the samples of its victims alone.

        Most views have one position. In it, observers that lied in the run are told apart from the others afterwards.

        Raises:
            Unseen: they have nothing to see there; raise what `unseen` gives.
        """

    def in_round(self, scene: AttackScene, round: int) -> Position | None:
        """The position of the recorded ``round`` alone, for curves over rounds; None where there is no such thing.

        Raises:
            Unseen: there is nothing to see in that round.
        """
        return None

    def unseen(self, what: str, advice: str) -> Unseen:
        """The error of a run in which there is nothing to see."""
        return Unseen(self.config.name, what, advice)


VIEWS: Registry[View] = Registry("views")


def view_names() -> list[str]:
    """The names of all views, in the order of results."""
    return in_order(VIEWS.names(), ORDER)
