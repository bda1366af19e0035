"""What canaries whose gradients are marks cannot do their work with."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.config.experiment import Experiment
from simulator.config.yaml_file import Location
from simulator.core.canary_marks import LENGTH
from simulator.core.errors import Problem
from simulator.core.linear_memory import Pace
from simulator.core.method import traits_of
from simulator.core.mixer import MIXERS

PLACE: Location = ("data", "canaries")
OTHERWISE = "or set data.canaries.kind: mislabelled"


def unsuited(experiment: Experiment) -> Iterator[tuple[Location, Problem]]:
    """Parts that do not clip gradients sample by sample, or whose messages do not show what a round did to the marks.

    What messages show is worked out by `auditing.network_privacy.linear_training`, which reads the same declarations.
    """
    canaries = experiment.data.canaries
    if canaries.marked and canaries.number:
        for what, advice in (*_of_the_clip(experiment), *_of_the_messages(experiment), *_of_the_steps(experiment)):
            yield PLACE, Problem("", f"canaries of kind {canaries.kind} {what}.", f"{advice}, {OTHERWISE}.")


def _of_the_clip(experiment: Experiment) -> Iterator[tuple[str, str]]:
    if not any(traits_of(settings).noise == "gradients" for settings in experiment.methods):
        yield "are gradients that a method clips sample by sample, and none here does", "Add one, such as dp_sgd"
    for settings in experiment.methods:
        traits = traits_of(settings)
        if traits.noise == "gradients" and traits.clip is None:
            what = f"are marks of one clip, and {settings.name} clips layer by layer or to norms that change"
            yield what, "Clip gradients whole, and to one norm"
        if traits.noise == "gradients" and (traits.clip or 0) > LENGTH:
            yield f"are gradients of norm {LENGTH:g}, which a clip of {traits.clip:g} leaves as they are", "Lower it"
        if traits.sampling not in (None, "poisson"):
            what = f"are scored by how often Poisson samples hold them, and {settings.name} draws {traits.sampling}"
            yield f"{what} ones", "Set sampling: poisson"
        if traits.noise == "updates":
            yield f"are lost where whole updates are clipped, as {settings.name} does", f"Leave {settings.name} out"
        if traits.noise == "messages":
            yield f"are followed in one message to all, and {settings.name} sends others", f"Leave {settings.name} out"


def _of_the_messages(experiment: Experiment) -> Iterator[tuple[str, str]]:
    mixer = experiment.mixer
    traits = MIXERS.load(mixer.name).traits(mixer)
    pace = Pace(experiment.training.optimizer.lr, experiment.training.local_steps)
    unknown = [each.name for each in experiment.methods if traits_of(each).memory_at(pace) is None]
    for name in ([mixer.name] if traits.memory_at(pace) is None else []) + unknown:
        yield f"need linear messages, and {name} declares no linear memory", f"Leave {name} out"
    if experiment.adversaries:
        yield "need linear messages, and attackers choose theirs by what they hear", "Leave adversaries out"
    if traits.sums:
        yield f"need what each node sends, and {mixer.name} shows sums alone", "Set mixer: gossip"
    if traits.sends_early:
        yield "need messages that show what a round did, and here they leave before it", "Set another mixer.order"
    apart = [settings.name for settings in experiment.methods if traits_of(settings).keeps_apart]
    if experiment.data.modality_by_node:
        apart.append("data.modality_by_node")
    for name in apart:
        yield f"are followed over all links, and {name} keeps parameters from some of them", f"Leave {name} out"
    if experiment.mode != "synchronous":
        yield "are followed round by round, and there are none in asynchronous mode", "Set mode: synchronous"


def _of_the_steps(experiment: Experiment) -> Iterator[tuple[str, str]]:
    training = experiment.training
    if training.optimizer.momentum and training.local_steps > 1:
        what = "need a message that shows one sum of steps, and with momentum that of several is none"
        yield what, "Set training.local_steps: 1, or momentum: 0"
    if training.steps_differ:
        yield "need steps that are alike at all nodes", "Leave local_steps and lr out of training.nodes"
