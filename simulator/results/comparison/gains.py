"""How much better one arm of a sweep is than another, seed by seed."""

from __future__ import annotations

import json
from collections.abc import Sequence

from simulator.core.errors import did_you_mean, wrong
from simulator.results.comparison.estimate import MeanAndSpread
from simulator.results.comparison.groups import Group, common_headline, last, seed
from simulator.results.formatting import MISSING
from simulator.results.run_directory import RunDirectory


class Gains:
    """Differences of the headline score to the arm ``against`` of the same seed and point of the grid.

    Raises:
        InputError: no finished run is of that arm.
    """

    def __init__(self, groups: Sequence[Group], against: str) -> None:
        runs = [run for group in groups for run in group.finished]
        self._baseline = {_point(run): run for run in runs if _arm(run) == against}
        self._against = against
        if not self._baseline:
            arms = sorted({_arm(run) for run in runs} - {""})
            what = f"no finished run is of an arm '{against}'."
            raise wrong("--against", what, did_you_mean(against, arms, "arms"))

    def columns(self, groups: Sequence[Group]) -> dict[str, list[str]]:
        """Mean and spread over seeds, in points, of the mean node and of the worst; nothing for the arm itself."""
        headline = common_headline(groups)
        unit = ", points" if headline.scale == 100 else f", {headline.words}"
        return {
            f"more than {self._against}{unit}": [self._gain(group, headline.mean, headline.scale) for group in groups],
            f"more at the worst node{unit}": [self._gain(group, headline.worst, headline.scale) for group in groups],
        }

    def _gain(self, group: Group, name: str, scale: int) -> str:
        pairs = [(run, self._baseline.get(_point(run))) for run in group.finished if _arm(run) != self._against]
        ends = [(last(run, name), last(other, name)) for run, other in pairs if other]
        gains = [scale * (own[0] - others[0]) for own, others in ends if own and others]
        return MeanAndSpread.of(gains).text(decimals=1 if scale == 100 else 3) if gains else MISSING


def _arm(run: RunDirectory) -> str:
    return str(run.sweep_label().get("arm") or "")


def _point(run: RunDirectory) -> tuple[str, int]:
    """What a run has in common with those of other arms that it is compared with."""
    return json.dumps(run.sweep_label().get("grid"), sort_keys=True), seed(run)
