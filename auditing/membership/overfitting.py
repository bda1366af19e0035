"""How much better a node knows its members than the rest of its pool: what leakage is expected to follow."""

from __future__ import annotations

import numpy as np
import torch

from auditing.candidates import Candidates
from simulator.core.flat_module import FlatModule
from simulator.core.node import Node
from simulator.runs.run import Run
from simulator.training.evaluation import evaluate


def overfitting_gaps(run: Run, candidates: Candidates) -> list[float]:
    """By node, the accuracy of its final model on its member candidates less that on its non-members."""
    network = FlatModule(run.blueprint.module().module, "fp64")

    def accuracy(node: Node, member: bool) -> float:
        own = np.flatnonzero((candidates.node == node.id) & (candidates.member == member))
        samples = candidates.samples.subset(torch.from_numpy(own))
        return evaluate(network, node.parameters.to(torch.float64), samples, node.data.normalizer).accuracy

    return [accuracy(node, member=True) - accuracy(node, member=False) for node in run.nodes]
