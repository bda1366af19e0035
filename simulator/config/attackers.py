"""Which nodes of an experiment lie, and what does not go together with that."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.config.experiment import AdversarySettings, Experiment
from simulator.config.planning import plan_of
from simulator.config.yaml_file import Location
from simulator.core.adversary import ADVERSARIES, Conspiracy
from simulator.core.attackers import Attackers
from simulator.core.backend import BACKENDS
from simulator.core.errors import Problem
from simulator.core.mixer import MIXERS
from topologies import Network, Topology, TopologyError
from topologies.adversaries import choose, distances_to_nearest, fiedler_vector, honest_graph

Found = Iterator[tuple[Location, Problem]]


def with_attackers_named(experiment: Experiment, topology: Topology) -> Experiment:
    """``experiment`` with the numbers of all attackers in it, also of those that it wants to have chosen.

    Raises:
        TopologyError: there are not so many nodes to choose from.
    """
    blocks, taken = list[AdversarySettings](), {node for block in experiment.adversaries for node in block.nodes}
    for block in experiment.adversaries:
        if block.count and not block.nodes:
            chosen = choose(topology, block.count, block.place, experiment.seed, beside=taken)
            taken |= set(chosen)
            block = block.model_copy(update={"nodes": tuple(chosen)})
        blocks.append(block)
    return experiment.model_copy(update={"adversaries": tuple(blocks)})


def liars(experiment: Experiment) -> dict[int, AdversarySettings]:
    """What each attacker of ``experiment``, in which all are named, does, by its number."""
    return {node: block for block in experiment.adversaries for node in block.nodes}


def attackers_of(experiment: Experiment, topology: Topology) -> Attackers | None:
    """Who lies in the network of ``experiment``, in which all are named; None where nobody does."""
    found = liars(experiment)
    if not found:
        return None
    attacks = [ADVERSARIES.build(block.attack) for block in experiment.adversaries]
    asked = any(each.asks_fiedler for each in attacks)
    return Attackers(
        nodes=frozenset(found),
        overhearing=frozenset(node for node, block in found.items() if block.knowledge == "omniscient"),
        starts=any(each.asks_starts for each in attacks),
        fiedler=fiedler_vector(honest_graph(topology, found)) if asked else {},
        distances=distances_to_nearest(topology, found),
        measures=attacks,
    )


def disagreements(experiment: Experiment, network: Network) -> Found:
    """What speaks against the adversaries of ``experiment``, with the places of the settings to change."""
    if not experiment.adversaries:
        return
    nodes, seen = network.base.num_nodes, dict[int, int]()
    for number, block in enumerate(experiment.adversaries):
        place = ("adversaries", number)
        for k, node in enumerate(block.nodes):
            if node >= nodes:
                yield (*place, "nodes", k), Problem("", f"there is no node {node}.", f"Count from 0 to {nodes - 1}.")
            if node in seen:
                what = f"node {node} is an attacker of adversaries[{seen[node]}] already."
                yield (*place, "nodes", k), Problem("", what, "Let each node be in one block.")
            seen[node] = number
    if any(node >= nodes for node in seen):
        return
    try:
        named = with_attackers_named(experiment, network.base)
        honest_graph(network.base, liars(named))
    except TopologyError as error:
        yield ("adversaries",), Problem("", error.message, error.advice)
        return
    yield from _not_simulated(experiment)
    plan = plan_of(experiment, network)
    for number, block in enumerate(named.adversaries):
        conspiracy = Conspiracy(block.knowledge, block.nodes, liars(named))
        for problem in ADVERSARIES.load(block.attack.name).check(block.attack, plan, conspiracy):
            keys = tuple(problem.where.split(".")) if problem.where else ()
            yield ("adversaries", number, "attack", *keys), Problem("", problem.what, problem.advice)


def unguarded(experiment: Experiment) -> Found:
    """Running statistics that attackers can move: they are averaged by W, whatever a rule makes of models."""
    if experiment.buffers is None or not experiment.buffers.ever_travel:
        return
    robust = MIXERS.load(experiment.mixer.name).traits(experiment.mixer).weighs_models
    if robust or experiment.adversaries:
        beside = f"{experiment.mixer.name} guards models alone" if robust else "some nodes lie"
        what = f"running statistics that travel are averaged whatever they are, and {beside}."
        yield ("buffers",), Problem("", what, "Set buffers: local, or {policy: frozen} with freeze_after: 0.")


def attack_notes(experiment: Experiment) -> Iterator[str]:
    """What whoever starts ``experiment``, in which all attackers are named, should know of them."""
    for block in experiment.adversaries:
        who = "node" if len(block.nodes) == 1 else "nodes"
        since = f"from round {block.from_round} on, " if block.from_round > 1 else ""
        yield (
            f"attackers: {who} {', '.join(map(str, block.nodes))}, {since}{block.attack.name}; scores are those of the "
            "honest nodes"
        )
        if block.from_round > experiment.rounds:
            yield f"the attack {block.attack.name} would begin in round {block.from_round}, after the last one"


def _not_simulated(experiment: Experiment) -> Found:
    """Where nobody can lie."""
    if experiment.mode != "synchronous":
        what = "attackers need rounds in step, and there are none in asynchronous mode."
        yield ("adversaries",), Problem("", what, "Remove adversaries, or set mode: synchronous.")
        return
    if not BACKENDS.load(experiment.backend.name).simulates:
        what = f"attackers exist in simulations alone, and backend {experiment.backend.name} is a deployment."
        yield ("adversaries",), Problem("", what, "Remove adversaries, or set backend: local or ray.")
    if not MIXERS.load(experiment.mixer.name).traits(experiment.mixer).sends_models:
        what = f"what {experiment.mixer.name} sends is no model, and attackers put another one in its place."
        yield ("mixer",), Problem("", what, "Set mixer: gossip, or a robust one, such as clipped_gossip.")
