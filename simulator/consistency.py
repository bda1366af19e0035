"""Settings that are fine one by one and do not go together: every problem, with its place and what to do."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.core.errors import Problem
from simulator.core.method import METHODS, NEEDS
from simulator.core.mixer import MIXERS
from simulator.core.model import MODELS
from simulator.core.plan import Plan
from simulator.data.label_noise import LabelNoise
from simulator.experiment import Experiment
from simulator.training.hooks import overrides
from simulator.yaml_file import Location
from topologies import Network, TopologyError

Found = Iterator[tuple[Location, Problem]]


def inconsistencies(experiment: Experiment) -> Found:
    """Problems between the settings of ``experiment``, with the places of the settings to change."""
    try:
        network = experiment.topology.build(experiment.seed)
    except TopologyError as error:
        yield ("topology", error.field), Problem("", error.message, error.advice)
        return
    yield from _refused_by_parts(experiment, network)
    yield from _unmet_needs(experiment)
    yield from _without_gradients_by_sample(experiment)
    yield from _unknown_nodes(experiment, network.base.num_nodes)
    yield from _modalities_in_vain(experiment, network.base.num_nodes)
    yield from _unknown_rounds(experiment)
    if experiment.mode == "asynchronous":
        yield from _bound_to_rounds(experiment, network)


def _refused_by_parts(experiment: Experiment, network: Network) -> Found:
    failures = experiment.topology.failures
    plan = Plan(
        rounds=experiment.rounds,
        training=experiment.training,
        topology=network.base,
        varies=network.varies,
        mixer=experiment.mixer,
        steps_differ=_steps_differ(experiment),
        one_way_losses=bool(failures.links) and not failures.symmetric,
        methods=experiment.methods,
        apart=bool(experiment.data.modality_by_node)
        or any(METHODS.load(settings.name).keeps_apart(settings) for settings in experiment.methods),
    )
    parts = {("mixer",): experiment.mixer} | {("methods", k): method for k, method in enumerate(experiment.methods)}
    for place, settings in parts.items():
        registry = MIXERS if place == ("mixer",) else METHODS
        for problem in registry.load(settings.name).check(settings, plan):
            keys = tuple(problem.where.split(".")) if problem.where else ()
            yield (*place, *keys), Problem("", problem.what, problem.advice)


def _steps_differ(experiment: Experiment) -> bool:
    changed = (METHODS.load(settings.name).changes_steps(settings) for settings in experiment.methods)
    return experiment.training.steps_differ or any(changed)


def _unmet_needs(experiment: Experiment) -> Found:
    data = experiment.data
    offered = {
        "public_data": bool(data.public),
        "validation_data": data.validation > 0,
        "verified_data": data.verified is not None,
        "exits": MODELS.load(experiment.model.name).has_exits,
    }
    for number, settings in enumerate(experiment.methods):
        for need in sorted(METHODS.load(settings.name).needs(settings)):
            if not offered[need]:
                what = f"{settings.name} needs {need.replace('_', ' ')}, and there is none."
                yield ("methods", number), Problem("", what, NEEDS[need])


def _without_gradients_by_sample(experiment: Experiment) -> Found:
    """One method may combine the gradients of samples, where each sample has one."""
    methods = [
        (number, settings.name, METHODS.load(settings.name)) for number, settings in enumerate(experiment.methods)
    ]
    combining = [name for _, name, method in methods if overrides(method, "combine_gradients")]
    for number, name, method in methods if combining else ():
        if name in combining[1:]:
            what = f"{name} combines the gradients of single samples, and {combining[0]} does so already."
            yield ("methods", number), Problem("", what, "Keep one of the two.")
        if overrides(method, "per_sample_loss") and not (method.row_wise and method.stackable):
            what = f"the loss that {name} gives a sample has no gradient of its own, and {combining[0]} needs that."
            yield ("methods", number), Problem("", what, "Keep one of the two.")


def _unknown_nodes(experiment: Experiment, nodes: int) -> Found:
    by_node: dict[Location, list[int]] = {("training", "nodes"): list(experiment.training.nodes)}
    if experiment.clock:
        by_node["clock", "speeds"] = list(experiment.clock.speeds)
    if isinstance(noise := experiment.data.corruption.labels, LabelNoise.Config):
        by_node["data", "corruption", "labels", "nodes"] = list(noise.nodes)
    for place, numbers in by_node.items():
        for number in numbers:
            if number >= nodes:
                yield (*place, str(number)), Problem("", f"there is no node {number}.", f"Count from 0 to {nodes - 1}.")


def _modalities_in_vain(experiment: Experiment, nodes: int) -> Found:
    held, place = experiment.data.modality_by_node, ("data", "modality_by_node")
    if len(held) > nodes:
        what = f"there are {nodes} nodes, and this says what {len(held)} hold."
        yield place, Problem("", what, f"Name {nodes} at most.")
    if held and experiment.mixer.name != "gossip":
        what = f"nodes of different modalities exchange no parameters, and {experiment.mixer.name} needs every link."
        yield place, Problem("", what, "Set mixer: gossip, or leave it out.")


def _unknown_rounds(experiment: Experiment) -> Found:
    for place, round in enumerate(experiment.record.rounds):
        if round > experiment.rounds:
            what = f"there is no round {round}."
            yield ("record", "rounds", place), Problem("", what, f"Count from 1 to {experiment.rounds}, the last one.")


def _bound_to_rounds(experiment: Experiment, network: Network) -> Found:
    """What has no meaning where nodes do not go through rounds in step."""
    if experiment.clock is None:
        what = "asynchronous mode runs on a simulated clock, and there is none."
        yield ("clock",), Problem("", what, "Say how long things take, for example clock: {step_seconds: 0.01}.")
    if network.base.graph.is_directed() or network.base.degrees.min() < 1:
        what = "in asynchronous mode, nodes average in pairs, over links that go both ways."
        yield ("topology", "graph"), Problem("", what, "Choose an undirected graph of at least two nodes.")
    if experiment.topology.schedule.name != "static":
        yield ("topology", "schedule"), _needs_rounds("a schedule of links", "Set topology.schedule: static")
    if network.fails:
        yield ("topology", "failures"), _needs_rounds("failures", "Remove topology.failures")
    if experiment.mixer != MIXERS.load("gossip").Config.model_validate({"name": "gossip"}):
        yield ("mixer",), _needs_rounds("a mixer other than plain gossip", "Set mixer: gossip, without settings")
    if experiment.record.among(experiment.rounds):
        yield ("record",), _needs_rounds("recording what nodes send", "Remove record")
    if experiment.data.modality_by_node:
        yield ("data", "modality_by_node"), _needs_rounds("a modality for each node", "Remove it")
    for number, method in enumerate(experiment.methods):
        yield ("methods", number), _needs_rounds(method.name, "Remove it")


def _needs_rounds(what: str, advice: str) -> Problem:
    return Problem(
        "",
        f"{what} needs rounds in step, and there are none in asynchronous mode.",
        f"{advice}, or set mode: synchronous.",
    )
