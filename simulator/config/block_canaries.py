"""What canaries in a block of parameters cannot do their work with."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.config.experiment import Experiment
from simulator.config.yaml_file import Location
from simulator.core.errors import Problem
from simulator.core.linear_memory import Pace
from simulator.core.method import traits_of
from simulator.core.mixer import MIXERS

PLACE: Location = ("data", "canaries")


def unsuited(experiment: Experiment) -> Iterator[tuple[Location, Problem]]:
    """Parts that do not clip gradients sample by sample, or whose messages do not show the block as it is."""
    canaries = experiment.data.canaries
    if canaries.kind != "block" or not canaries.number:
        return
    if not any(traits_of(settings).noise == "gradients" for settings in experiment.methods):
        what = "canaries in a block are gradients that a method clips sample by sample, and none here does."
        yield PLACE, Problem("", what, "Add one, such as dp_sgd, or set data.canaries.kind: mislabelled.")
    training, mixer = experiment.training, MIXERS.load(experiment.mixer.name)
    pace = Pace(training.optimizer.lr, training.local_steps)
    unknown = [each.name for each in experiment.methods if traits_of(each).memory_at(pace) is None]
    if mixer.traits(experiment.mixer).memory_at(pace) is None:
        unknown.insert(0, experiment.mixer.name)
    if unknown:
        what = f"{unknown[0]} declares no linear memory, so what its messages show of a block of canaries is not known."
        yield PLACE, Problem("", what, f"Leave {unknown[0]} out, or set data.canaries.kind: mislabelled.")
    if experiment.mode != "synchronous":
        what = "canaries in a block are followed round by round, and there are no rounds in asynchronous mode."
        yield PLACE, Problem("", what, "Set mode: synchronous, or data.canaries.kind: mislabelled.")
