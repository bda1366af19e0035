"""What ``rumormill topology`` says of a graph: what it means for mixing and traffic, and against attackers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from simulator.config.yaml_file import read_value
from simulator.core.errors import InputError, wrong
from topologies import Topology, TopologyError
from topologies.adversaries import CutApart, choose
from topologies.breakdown import Breakdown
from topologies.graphs import is_random
from topologies.spectral import diameter_in_words, expected_rounds_to_halve, lambda_min, spectral_gap

ATTACKERS = "--adversaries"
ADVICE = "Give nodes, as 3,7; or how many, as 2 or 20%, with --place."


def facts_of(
    graph: str,
    nodes: int | None,
    weights: str,
    seed: int | None,
    options: Sequence[str],
    parameters: int,
    adversaries: str | None,
    place: str | None,
) -> tuple[Topology, tuple[int, ...], dict[str, str]]:
    """The topology that the command line asks for, its attackers, and what there is to say, by name.

    Args:
        graph: its name.
        nodes: how many; None where the graph decides.
        weights: the name of its mixing matrix.
        seed: None unless given.
        options: of the graph, each as name=value.
        parameters: of a model, whose bytes are counted.
        adversaries: nodes, as 3,7, or with ``place`` how many; None without attackers.
        place: the name of the way in which they are chosen.

    Raises:
        InputError: there is no such topology, or there are no such attackers.
    """
    pairs = [option.partition("=") for option in options]
    given = {key: read_value(text, key) for key, _, text in pairs}
    try:
        if seed is not None and place is None and not is_random(graph, given):
            raise wrong("--seed", f"the {graph} graph is not random: a seed changes nothing.", "Leave --seed out.")
        topology = Topology.build(graph, nodes, weights, seed or 0, **given)
        attackers = _attackers(topology, adversaries, place, seed or 0)
        facts = _facts(topology) | _traffic(topology, parameters) | _under_attack(topology, attackers)
    except TopologyError as error:
        raise _placed(error) from error
    return topology, attackers, facts


def _attackers(topology: Topology, text: str | None, place: str | None, seed: int) -> tuple[int, ...]:
    """Those that the command line names or has chosen.

    Raises:
        InputError: it does neither.
        TopologyError: there are no such nodes, or not so many.
    """
    if text is None:
        if place is not None:
            raise wrong("--place", "there is nobody to place.", f"Say how many: {ATTACKERS} 2.")
        return ()
    try:
        if place is None:
            named = tuple(int(node) for node in text.split(","))
            if len(set(named)) < len(named):
                raise wrong(ATTACKERS, f"{text} names a node twice.", "Name each once.")
            return named
        share = float(text.removesuffix("%")) / 100 if text.endswith("%") else None
        count = int(text) if share is None else round(share * topology.num_nodes)
    except (ValueError, OverflowError) as error:
        raise wrong(ATTACKERS, f"{text!r} says neither who nor how many.", ADVICE) from error
    if share is not None and count < 1:
        raise wrong(ATTACKERS, f"{text} of {topology.num_nodes} nodes is nobody.", "Give a larger share.")
    return choose(topology, count, place, seed)


def _placed(error: TopologyError) -> InputError:
    """``error`` under the setting of the command line at fault."""
    where = {"adversaries": ATTACKERS, "place": "--place"}.get(error.field, f"topology.{error.field}")
    return wrong(where, error.message, error.advice)


def _facts(topology: Topology) -> dict[str, str]:
    degrees, gap = topology.degrees, spectral_gap(topology.matrix)
    return {
        "graph": f"{topology.graph_name}, weights {topology.weights_name}",
        "nodes": str(topology.num_nodes),
        "links": f"{len(topology.edges())} directed",
        "degree": f"{degrees.min()} to {degrees.max()}, mean {degrees.mean():.2f}",
        **({"components": str(topology.components)} if topology.components > 1 else {}),
        "diameter": diameter_in_words(topology.graph),
        "spectral gap": f"{gap:.4f}",
        "smallest eigenvalue": f"{lambda_min(topology.matrix):.4f}" if topology.is_symmetric else "(not symmetric)",
        "rounds to halve the consensus distance": f"{expected_rounds_to_halve(gap):.1f}",
        "keeps the mean": "yes" if topology.is_doubly_stochastic else "no: the mixing matrix is not doubly stochastic",
    }


def _traffic(topology: Topology, parameters: int) -> dict[str, str]:
    busiest, total = int(topology.degrees.max()), int(topology.degrees.sum())
    size = 4 * parameters / 1e6
    text = f"{total * size:.4g} MB in all, {busiest * size:.4g} MB by the busiest node"
    return {"bytes a round": f"{text} ({parameters:,} float32 parameters, gossip)"}


def _under_attack(topology: Topology, attackers: tuple[int, ...]) -> dict[str, str]:
    """What theory promises; nothing is said where there are no attackers."""
    if not attackers:
        return {}
    who = {"attackers": ", ".join(map(str, sorted(attackers)))}
    try:
        found = Breakdown.of(topology, attackers)
    except CutApart as error:
        return {**who, "theory promises": f"nothing. {error.message}"}
    weights, away = found.byzantine_weights.values(), Counter(found.distances.values())
    return {
        **who,
        "attackers heard by an honest node (b)": f"{found.most} at most",
        "weight of attackers in an honest row": f"{max(weights):.4f} at most, mean {sum(weights) / len(weights):.4f}",
        "links to the nearest attacker (nodes)": ", ".join(f"{hops} ({away[hops]})" for hops in sorted(away)),
        "spectral gap among honest nodes": f"{found.honest_gap:.4f}",
        **_promises(found),
    }


def _promises(found: Breakdown) -> dict[str, str]:
    if found.topology.graph.is_directed():
        return {"theory promises": "nothing: its bounds are of links that go both ways"}
    smallest, largest = found.connectivities
    heard, half, quarter = f"b = {found.most}", f"mu_2 / 2 = {smallest / 2:.3g}", f"mu_2 / 4 = {smallest / 4:.3g}"
    if found.ruled_out:
        verdict = f"nothing: {heard} is not below {half}, and no rule works on all graphs where that is so"
    elif not found.proved:
        verdict = f"nothing: {heard} is not below {quarter}, as CS+ needs; below {half}, no rule is ruled out"
    else:
        verdict = f"that CS+ works: {heard} is below {quarter}"
    bears = f"b up to {found.borne}" if found.borne else "not even one attacker heard, which takes mu_2 above 4"
    return {
        "connectivity of honest nodes": f"mu_2 {smallest:.4g}, mu_max {largest:.4g} (Laplacian, links of weight 1)",
        "theory promises": verdict,
        "CS+ is proved to bear here": f"{bears} (arXiv 2410.10418)",
    }
