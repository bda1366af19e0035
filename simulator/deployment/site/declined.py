"""That a site's policy does not allow what an experiment asks for."""

from __future__ import annotations

from collections.abc import Iterable

from simulator.core.errors import Problem, RumormillError


class Declined(RumormillError):
    """The node takes no part, or no further part: its site's policy says so.

    The text is for the site alone; others are told `told`, which names the settings of the policy and no value.

    Args:
        node: which one.
        problems: each at the setting of the policy that does not allow it.
    """

    exit_code = 3

    def __init__(self, node: int, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        lines = "\n".join(str(problem) for problem in self.problems)
        super().__init__(f"node {node} declines, as its site's policy wants it:\n{lines}")
        self.settings = list(dict.fromkeys(problem.where for problem in self.problems))
        self.told = f"node {node} declines: its site's policy does not allow it ({', '.join(self.settings)})"
