"""How much better a node knows its members than the rest of its pool: what leakage is expected to follow."""

from __future__ import annotations

import numpy as np
import torch

from auditing.candidates import Candidates
from auditing.networks import network_of
from auditing.progress import Countdown
from simulator.core.node import Node
from simulator.core.task import Task
from simulator.runs.run import Run
from simulator.training.evaluation import evaluate


def gap_of(task: Task) -> str:
    """What `overfitting_gaps` are differences of, in words."""
    first, second = ("members", "non-members") if task.higher_is_better else ("non-members", "members")
    return f"{task.headline} on {first} less that on {second}"


def overfitting_gaps(run: Run, candidates: Candidates) -> list[float | None]:
    """By node, how much better its final model scores on its member candidates than on its non-members.

    The score is the task's headline, such as accuracy; None where it is undefined for either, and of attackers.
    Progress is told.
    """
    network = network_of(run, "fp64", with_state=True)

    def score(node: Node, member: bool) -> float | None:
        if node.id in run.directory.attackers:
            return None
        own = np.flatnonzero((candidates.node == node.id) & (candidates.member == member))
        samples = candidates.samples.subset(torch.from_numpy(own))
        buffers = network.buffers_of(node.buffers.running if node.buffers else None)
        scores = evaluate(network, node.parameters.to(torch.float64), samples, node.data, buffers)
        return scores.get(node.data.task.headline)

    sign = 1 if run.nodes[0].data.task.higher_is_better else -1
    costs = (1 + np.bincount(candidates.node, minlength=len(run.nodes))).tolist()  # some may have no candidate
    countdown = Countdown("overfitting: final models score their own candidates", unit="nodes")
    pairs = countdown.over(((score(node, member=True), score(node, member=False)) for node in run.nodes), costs)
    return [None if of is None or other is None else sign * (of - other) for of, other in pairs]
