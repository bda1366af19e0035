"""What keeps the messages of an experiment from being linear functions of its nodes' updates."""

from __future__ import annotations

from collections.abc import Iterator

from auditing.network_privacy.linear_training import undeclared
from simulator.config.experiment import Experiment
from simulator.core.errors import Problem
from simulator.core.method import traits_of
from simulator.core.mixer import MIXERS


def hears_sums(experiment: Experiment) -> bool:
    """Whether nodes make out the weighted sum of what they are sent, and no single message."""
    return MIXERS.load(experiment.mixer.name).traits(experiment.mixer).sums


def _weighs_by_models(experiment: Experiment) -> bool:
    return MIXERS.load(experiment.mixer.name).traits(experiment.mixer).weighs_models


def data_dependent(experiment: Experiment, remaining: str) -> Iterator[Problem]:
    """Weights that depend on models, and messages that attackers choose by what they hear.

    Args:
        experiment: what is followed.
        remaining: what can be said all the same, as a sentence.
    """
    so = f"so messages are no linear functions of updates. {remaining}"
    if _weighs_by_models(experiment):
        what = f"{experiment.mixer.name} weighs what a node hears by what the models are, {so}"
        yield Problem("mixer", what, "Run with mixer: gossip.")
    if experiment.adversaries:
        what = f"attackers choose what they send by what they hear, {so}"
        yield Problem("adversaries", what, "Run without them.")


def not_linear(experiment: Experiment) -> Iterator[Problem]:
    """All of it, for audits that take messages for those of `auditing.network_privacy.linear_gossip`."""
    if experiment.mode != "synchronous":
        yield Problem("mode", "only synchronous rounds can be accounted.", "Run with mode: synchronous.")
        return
    known = _weighs_by_models(experiment)  # which `data_dependent` says better
    yield from (each for each in undeclared(experiment) if not (known and each.where == "mixer"))
    if experiment.data.modality_by_node:
        what = "nodes of different modalities exchange no parameters, and all links are accounted."
        yield Problem("data.modality_by_node", what, "Leave it out.")
    for settings in experiment.methods:
        if traits_of(settings).keeps_apart:
            what = f"{settings.name} keeps parameters from travelling over some links, and all of them are accounted."
            yield Problem("methods", what, "Run without it, or let it share everything.")
