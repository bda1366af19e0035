"""Statistics that sites agree on before round 1, and what does not go with them."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.config.experiment import Experiment
from simulator.config.yaml_file import Location
from simulator.core.errors import Problem
from simulator.core.method import traits_of
from simulator.data.sites.settings import StatisticsSettings
from simulator.privacy.budget_settings import BudgetSettings
from topologies import Topology

PLACE = ("data", "sites", "statistics")
DECLARE = "Declare mean and std in the schema"


def not_to_be_agreed(experiment: Experiment, topology: Topology) -> Iterator[tuple[Location, Problem]]:
    """Why the nodes of ``experiment`` cannot agree on statistics, or their promises of privacy would not hold then."""
    sites = experiment.data.sites
    if sites is None or sites.statistics is None:
        return
    if topology.graph.is_directed() or topology.components > 1:
        what = "nodes agree over links that go both ways and connect all of them, and here they do not."
        yield PLACE, Problem("", what, f"Choose a connected, undirected graph. {DECLARE} else.")
    for settings in experiment.methods:
        traits = traits_of(settings)
        if traits.noise or traits.secret_randomness:
            counted = isinstance(settings, BudgetSettings) and traits.noise == "gradients"
            yield from ((PLACE, problem) for problem in _beside(settings.name, counted, sites.statistics))


def _beside(method: str, counted: bool, statistics: StatisticsSettings) -> Iterator[Problem]:
    """What becomes of the promise of a ``method``, which may have ``counted`` a release of the same samples."""
    if not counted:
        what = f"{method} protects something else than single samples, and does not count what statistics tell."
        yield Problem("", what, f"{DECLARE}, or remove {method}.")
    elif statistics.noise_multiplier is None:
        what = f"statistics would leave without noise, which no epsilon of {method} covers."
        yield Problem(
            "", what, f"Give them noise: statistics: {{noise_multiplier: 5.0, unit: sample}}. {DECLARE} else."
        )
    elif statistics.unit != "sample":
        what = f"{method} protects one sample, and the noise of statistics one {statistics.unit}: they do not add up."
        yield Problem("", what, "Set data.sites.statistics.unit: sample.")
    elif statistics.delta is not None:
        what = f"the whole run has one delta, that of {method}."
        yield Problem("", what, f"Leave out data.sites.statistics.delta, and set that of {method}.")
