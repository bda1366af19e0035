"""Runs in which nodes lied: who may be a victim there, and what results and reports say of the others."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from simulator.config.attackers import liars, with_attackers_named
from simulator.config.experiment import Experiment
from simulator.core.node import Node
from simulator.results.formatting import nodes_named
from simulator.runs.run import Run


def honest_nodes(run: Run) -> list[Node]:
    """The nodes of ``run`` that may be victims: attackers are none, as what they sent is not what they had."""
    return [node for node in run.nodes if node.id not in run.directory.attackers]


def attackers_in(run: Run) -> dict[str, list[int]]:
    """For ``result.json``: who was ``lying``, ascending; nothing where nobody lied."""
    return _named(run.directory.attackers)


def attackers_planned(experiment: Experiment) -> dict[str, list[int]]:
    """As `attackers_in`, of an experiment that has not been run."""
    base = experiment.topology.build(experiment.seed).base
    return _named(liars(with_attackers_named(experiment, base)))


def _named(lying: Collection[int]) -> dict[str, list[int]]:
    return {"lying": sorted(lying)} if lying else {}


def honest_numbers(result: Mapping[str, Any], count: int) -> list[int]:
    """The numbers of the nodes, ``count``, that figures in ``result.json`` are of: all that did not lie."""
    lying = result.get("lying", ())
    return [node for node in range(count + len(lying)) if node not in lying]


def told(result: Mapping[str, Any]) -> Iterator[str]:
    """One sentence on the attackers in ``result.json``, for people, where there are any."""
    if lying := result.get("lying"):
        yield (
            f"Attackers: {nodes_named(lying)}. Nobody asks about the samples of an attacker, and means are over "
            "honest nodes. What attackers see stands apart: they are active, and steer it by what they send."
        )
