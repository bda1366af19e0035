"""Settings that are fine one by one and do not go together: every problem, with its place and what to do."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.config.agreed_statistics import not_to_be_agreed
from simulator.config.attackers import disagreements, unguarded
from simulator.config.experiment import Experiment
from simulator.config.marked_canaries import unsuited
from simulator.config.method_pairs import at_odds
from simulator.config.part_blocks import placed
from simulator.config.planning import needing, plan_of
from simulator.config.yaml_file import Location
from simulator.core.errors import InputError, Problem
from simulator.core.method import METHODS, Method
from simulator.core.mixer import MIXERS
from simulator.core.model_registry import MODELS
from simulator.core.task import TASKS, Task
from simulator.core.traits import NEEDS, OF_SAMPLES
from simulator.data.label_noise import LabelNoise
from simulator.data.sites import refusals
from topologies import Network, TopologyError

MOST_RECORDED = 100_000  # rounds

Found = Iterator[tuple[Location, Problem]]


def check_consistent(experiment: Experiment) -> None:
    """Check what `simulator.load_experiment` has checked, for an experiment that was made in another way.

    Raises:
        InputError: settings do not go together.
    """
    if problems := [placed(place, problem) for place, problem in inconsistencies(experiment)]:
        raise InputError(*problems)


def inconsistencies(experiment: Experiment) -> Found:
    """Problems between the settings of ``experiment``, with the places of the settings to change."""
    try:
        network = experiment.topology.build(experiment.seed)
    except TopologyError as error:
        yield ("topology", *error.field.split(".")), Problem("", error.message, error.advice)
        yield from (*_unmet_needs(experiment), *_unknown_rounds(experiment))
        return
    yield from _refused_by_parts(experiment, network)
    yield from _unmet_needs(experiment)
    yield from at_odds(experiment)
    yield from _noise_that_others_draw(experiment)
    yield from unsuited(experiment)
    yield from disagreements(experiment, network)
    yield from unguarded(experiment)
    yield from _unknown_nodes(experiment, network.base.num_nodes)
    yield from _not_to_be_sampled(experiment, network.base.num_nodes)
    yield from _unknown_links(experiment, network)
    yield from _unknown_watts(experiment)
    yield from _modalities_in_vain(experiment, network.base.num_nodes)
    yield from _sites_in_vain(experiment, network.base.num_nodes)
    yield from not_to_be_agreed(experiment, network.base)
    yield from _unknown_rounds(experiment)
    yield from _absences_in_vain(experiment)
    if experiment.mode == "asynchronous":
        yield from _bound_to_rounds(experiment, network)
    elif MIXERS.load(experiment.mixer.name).traits(experiment.mixer).pairwise:
        what = f"{experiment.mixer.name} averages in pairs, at any time, and here all nodes mix in rounds."
        yield ("mixer",), Problem("", what, "Set mode: asynchronous, or another mixer, such as gossip.")


def _refused_by_parts(experiment: Experiment, network: Network) -> Found:
    plan = plan_of(experiment, network)
    parts = {("mixer",): experiment.mixer} | {("methods", k): method for k, method in enumerate(experiment.methods)}
    for place, settings in parts.items():
        registry = MIXERS if place == ("mixer",) else METHODS
        for problem in registry.load(settings.name).check(settings, plan):
            keys = tuple(problem.where.split(".")) if problem.where else ()
            yield (*place, *keys), Problem("", problem.what, problem.advice)


def _noise_that_others_draw(experiment: Experiment) -> Found:
    """Noise protects nothing where a deployment draws it from the experiment's seed, which all nodes know."""
    for number, settings in enumerate(experiment.methods):
        method = METHODS.load(settings.name)
        promises, traits = method.promise is not Method.promise, method.traits(settings)
        if (traits.noise or promises) and not traits.secret_randomness:
            what = f"{settings.name} {'promises privacy' if promises else 'adds noise'}, and does not declare that"
            advice = "Let traits return Traits(secret_randomness=True, ...), and draw by node.rng alone."
            yield ("methods", number), Problem("", f"{what} its random numbers must be nobody else's.", advice)


def _unmet_needs(experiment: Experiment) -> Found:
    data = experiment.data
    offered = {
        "public_data": bool(data.public),
        "validation_data": data.validation > 0,
        "verified_data": data.verified is not None,
        "exits": MODELS.load(experiment.model.name).has_exits,
        "classes": TASKS.load(experiment.task.name).has_classes,
        "margins": TASKS.load(experiment.task.name).margins is not Task.margins,
    }
    for place, name, needs in needing(experiment):
        for need in sorted(needs - OF_SAMPLES):
            if not offered[need]:
                what = f"{name} needs {need.replace('_', ' ')}, and there is none."
                yield place, Problem("", what, NEEDS[need])


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


def _not_to_be_sampled(experiment: Experiment, nodes: int) -> Found:
    """Some of the nodes cannot stand for all where there are no more, or where the worst honest one is asked for."""
    tested = experiment.evaluate.tested_nodes
    if tested is None:
        return
    if tested >= nodes:
        yield (
            ("evaluate", "tested_nodes"),
            Problem("", f"{tested} of {nodes} nodes are to be tested.", "Leave it out for all."),
        )
    if experiment.adversaries:
        what = "what attacks do is told of each honest node, and some alone would be tested."
        yield ("evaluate", "tested_nodes"), Problem("", what, "Leave it out, to test all.")


def _unknown_links(experiment: Experiment, network: Network) -> Found:
    trace, nodes = experiment.clock.links if experiment.clock else None, network.base.num_nodes
    for sender, receiver in trace.links if trace else ():
        if sender >= nodes or receiver not in network.base.out_neighbours(sender):
            what = f"the trace tells of a link {sender} -> {receiver}, and there is none."
            yield ("clock", "links"), Problem("", what, "Remove its row, or choose a graph that has it.")


def _unknown_watts(experiment: Experiment) -> Found:
    energy, clock = experiment.energy, experiment.clock
    if energy and energy.watts is not None and clock is None:
        what = "power counts for as long as a node computes on the simulated clock, and there is none."
        yield ("energy", "watts"), Problem("", what, "Add clock: {step_seconds: ...}, or give joules_per_step.")
    elif energy and clock and energy.watts == "devices" and not (clock.devices and clock.devices.watts):
        what = "no trace says how many watts devices take."
        yield ("energy", "watts"), Problem("", what, "Give clock.devices a column watts, or the watts of all nodes.")


def _modalities_in_vain(experiment: Experiment, nodes: int) -> Found:
    held, place = experiment.data.modality_by_node, ("data", "modality_by_node")
    if len(held) > nodes:
        what = f"there are {nodes} nodes, and this says what {len(held)} hold."
        yield place, Problem("", what, f"Name {nodes} at most.")
    if held and experiment.mixer.name != "gossip":
        what = f"nodes of different modalities exchange no parameters, and {experiment.mixer.name} needs every link."
        yield place, Problem("", what, "Set mixer: gossip, or leave it out.")


def _sites_in_vain(experiment: Experiment, nodes: int) -> Found:
    """Settings that make no sense where each node opens its own data alone."""
    if experiment.data.sites is not None:
        for problem in refusals.problems(experiment.data, experiment.data.sites, nodes):
            yield tuple(problem.where.split(".")), Problem("", problem.what, problem.advice)


def _unknown_rounds(experiment: Experiment) -> Found:
    every = experiment.record.every
    if every and (count := experiment.rounds // every) > MOST_RECORDED:
        yield (
            ("record", "every"),
            Problem("", f"{count:,} rounds would be recorded.", f"Take {MOST_RECORDED:,} at most."),
        )
    for place, round in enumerate(experiment.record.rounds):
        if round > experiment.rounds:
            what = f"there is no round {round}."
            yield ("record", "rounds", place), Problem("", what, f"Count from 1 to {experiment.rounds}, the last one.")


def _absences_in_vain(experiment: Experiment) -> Found:
    for place, (node, first, _) in enumerate(experiment.topology.failures.absences):
        if first > experiment.rounds:
            what = f"node {node} would be away from round {first} on, and the last one is {experiment.rounds}."
            yield ("topology", "failures", "absences", place), Problem("", what, "Let it begin earlier, or remove it.")


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
    if experiment.topology.weights != "metropolis_hastings":
        yield ("topology", "weights"), _needs_rounds("a choice of weights", "Remove topology.weights")
    if network.fails:
        yield ("topology", "failures"), _needs_rounds("failures", "Remove topology.failures")
    if not MIXERS.load(experiment.mixer.name).traits(experiment.mixer).pairwise:
        yield (
            ("mixer",),
            _needs_rounds(f"the mixer {experiment.mixer.name}", "Set mixer: pair_average, or leave it out"),
        )
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
