"""How good a parameter vector is: accuracy, loss, and how far the nodes are apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from simulator.core.buffers.layout import Buffers
from simulator.core.flat_module import FlatModule
from simulator.core.samples import NodeData, Samples
from simulator.core.task import Task

Scores = Mapping[str, float]  # of one model on one labelled set: see `Task.metrics`


class ConsensusGroup(NamedTuple):
    """Nodes whose average is a model, as they take part in one network on inputs of one kind.

    Attributes:
        nodes: their ids.
        data: of one of them.
        everyone: of each, by id, in order.
    """

    nodes: frozenset[int]
    data: NodeData
    everyone: Sequence[tuple[int, NodeData]] = ()


def evaluate(
    module: FlatModule, parameters: Tensor, samples: Samples, data: NodeData, buffers: Buffers | None = None
) -> Scores:
    """The scores of the model with ``parameters`` (float [parameters]) on ``samples``, which are of ``data``'s kind.

    Where the network keeps state, ``buffers`` are the model's; looking does not change them.
    """
    module.bind(parameters.to(module.device), buffers)
    outputs = module.outputs(samples, data.preparation)
    return score(data.task, outputs, samples.targets_at(torch.arange(len(samples))))


def score(task: Task, outputs: Tensor, targets: Tensor) -> Scores:
    """The scores of N outputs for ``targets``, both as ``task`` has them."""
    return task.metrics(task.statistics(outputs, targets))


def majority_share(labels: Tensor) -> float:
    """The accuracy of always answering the most common class among ``labels`` (int64 [N])."""
    return labels.bincount().max().item() / len(labels)


def consensus_distance(parameters: Tensor) -> float:
    """Root mean square over nodes of ||x_i - mean x||, for float [nodes, parameters]."""
    rows = parameters.double()
    return (rows - rows.mean(dim=0)).square().sum(dim=1).mean().sqrt().item()
