"""The plan that mixers and methods judge an experiment by, and what its owner should know of its network first."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.config.experiment import Experiment
from simulator.config.yaml_file import Location
from simulator.core.adversary import ADVERSARIES
from simulator.core.method import traits_of
from simulator.core.mixer import MIXERS
from simulator.core.plan import Plan
from topologies import ALONG_LINKS, Network


def plan_of(experiment: Experiment, network: Network) -> Plan:
    """The run of ``experiment`` on its ``network``, as its parts shall see it."""
    traits = [traits_of(settings) for settings in experiment.methods]
    return Plan(
        rounds=experiment.rounds,
        training=experiment.training,
        network=network,
        mixer=experiment.mixer,
        steps_differ=experiment.training.steps_differ or any(each.changes_steps for each in traits),
        methods=experiment.methods,
        apart=bool(experiment.data.modality_by_node) or any(each.keeps_apart for each in traits),
    )


def needing(experiment: Experiment) -> Iterator[tuple[Location, str, frozenset[str]]]:
    """What methods and attacks of ``experiment`` need, with their places and names."""
    for number, settings in enumerate(experiment.methods):
        yield ("methods", number), settings.name, traits_of(settings).needs
    for number, block in enumerate(experiment.adversaries):
        yield ("adversaries", number, "attack"), block.attack.name, ADVERSARIES.load(block.attack.name).needs


def exchanges(experiment: Experiment) -> int:
    """How often neighbours exchange messages in a round: before local training, as methods declare, and after it."""
    return 1 + sum(traits_of(settings).exchanges for settings in experiment.methods)


def schedule_notes(experiment: Experiment) -> Iterator[str]:
    """What is set for rounds that do not come."""
    warmup, rounds = experiment.training.schedule.warmup, experiment.rounds
    if warmup > rounds:
        what = f"training.schedule.warmup is {warmup} rounds, and there are {rounds}"
        yield f"{what}: the learning rate is still rising when the run ends"
    if beyond := [round for round in experiment.checkpoint.rounds if round > rounds]:
        yield f"there is no round {beyond[0]} to be kept (checkpoint.rounds): {rounds} is the last one"


def network_notes(experiment: Experiment, network: Network) -> Iterator[str]:
    """What is allowed on the network of ``experiment``, and may surprise."""
    topology, schedule = experiment.topology, network.schedule
    if schedule.name not in ALONG_LINKS and topology.graph != network.base.graph_name:
        yield f"the schedule {schedule.name} brings its own links: of graph {topology.graph} only the nodes are used"
    if topology.failures.links and topology.failures.symmetric and not schedule.laws.two_way:
        yield "links of this network go one way: each is lost alone, whatever topology.failures.symmetric says"
    if experiment.mode == "synchronous":
        yield from MIXERS.load(experiment.mixer.name).notes(experiment.mixer, plan_of(experiment, network))
