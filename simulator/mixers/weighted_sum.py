"""What the mixers share: the sum over a row of the mixing matrix, and checks that it is the row they need."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from simulator.core.errors import Problem
from simulator.core.mixer import Mixer
from simulator.core.node import Node
from simulator.core.plan import Plan


def weighted_sum(node: Node, terms: Mapping[int, Tensor]) -> Tensor:
    """sum_j w_ij t_j in order of node id, the node's own term in its place.

    Args:
        node: whose row of W.
        terms: a tensor from each node that has a weight, the node itself included.

    Raises:
        RuntimeError: the terms are not from the nodes that have a weight.
    """
    check_terms(node, terms)
    return summed(node.weights, terms)


def summed(weights: Mapping[int, float], terms: Mapping[int, Tensor]) -> Tensor:
    """sum_j a_j t_j in order of node id, over all ``terms``; a new tensor."""
    first, *rest = sorted(terms)
    total = torch.mul(terms[first], weights[first])
    for j in rest:
        total.add_(terms[j], alpha=weights[j])
    return total


def check_terms(node: Node, terms: Collection[int]) -> None:
    """Check that there is one term from each node that has a weight: what is lost must be taken from both.

    Raises:
        RuntimeError: there is not.
    """
    if set(terms) != node.weights.keys():
        raise RuntimeError(
            f"node {node.id} has terms of nodes {sorted(terms)} in round {node.round}, "
            f"but weights for nodes {sorted(node.weights)}"
        )


def needs_rows(plan: Plan) -> Iterable[Problem]:
    """A problem if the rows of W do not sum to 1 in every round: nodes that agree would not stay where they are."""
    if not plan.laws.rows:
        yield Problem(
            "",
            "needs a mixing matrix whose rows sum to 1 in every round, and those of 'push' weights do not here.",
            "Set topology.weights: metropolis_hastings (row_stochastic for a directed graph), or mixer: push_sum.",
        )


class SumOfRow(Mixer):
    """Base of mixers that sum what nodes hold by the rows of W, whatever of it they send."""

    @classmethod
    def check(cls, config: Any, plan: Plan) -> Iterable[Problem]:
        """The rows of W must sum to 1."""
        return needs_rows(plan)

    @classmethod
    def notes(cls, config: Any, plan: Plan) -> Iterable[str]:
        """If the columns of W do not sum to 1 in every round: some of the nodes are then favoured."""
        if not plan.laws.columns:
            yield (
                "columns of the mixing matrix do not sum to 1 in every round (by its weights, or where links are lost "
                "one way), so the nodes' mean is not kept and some count more than others; mixer: push_sum with "
                "topology.weights: push keeps it"
            )

    @classmethod
    def keeps_sum(cls, config: Any, plan: Plan) -> bool:
        """Where the columns of W sum to 1."""
        return plan.laws.columns
