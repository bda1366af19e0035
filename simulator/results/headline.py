"""The score that tables and figures show first: that of the run's task."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from simulator.results.formatting import percent, significant

MEAN_OF = re.compile(r"test/([^/]+)/mean")
SHARES = frozenset({"accuracy"})  # which are shown in %
ABBREVIATIONS = frozenset({"auroc", "rmse"})


@dataclass(frozen=True)
class Headline:
    """A score by its name among the metrics of a run."""

    name: str = "accuracy"

    @classmethod
    def among(cls, names: Iterable[str]) -> Headline:
        """The one of a run with metrics of these ``names``; accuracy where none has been measured."""
        return next((cls(found[1]) for found in map(MEAN_OF.fullmatch, names) if found), cls())

    @property
    def mean(self) -> str:
        """The metric that is its mean over nodes; those of the worst and of the best node are named alike."""
        return f"test/{self.name}/mean"

    @property
    def worst(self) -> str:
        """The metric of the worst node."""
        return f"test/{self.name}/worst"

    @property
    def best(self) -> str:
        """The metric of the best node."""
        return f"test/{self.name}/best"

    @property
    def of_node(self) -> str:
        """The metric of a node."""
        return f"test/{self.name}"

    @property
    def consensus(self) -> str:
        """The metric of the consensus model."""
        return f"consensus/test/{self.name}"

    @property
    def words(self) -> str:
        """What people call it."""
        return self.name.upper() if self.name in ABBREVIATIONS else self.name.replace("_", " ")

    @property
    def scale(self) -> int:
        """What a value is multiplied by to be shown."""
        return 100 if self.name in SHARES else 1

    @property
    def unit(self) -> str:
        """What stands behind its name in tables and on axes."""
        return ", %" if self.name in SHARES else ""

    @property
    def label(self) -> str:
        """Its name with its unit."""
        return f"{self.words}{self.unit}"

    def text(self, value: float) -> str:
        """A value as people read it."""
        return percent(value) if self.name in SHARES else significant(value, 3)
