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

AT_ONCE = 2**27  # bytes that are averaged at once
COLUMNS = 64  # in pieces of a multiple of that, means are to the last bit what they are in one

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


def consensus(parameters: Sequence[Tensor]) -> tuple[Tensor, float]:
    """Where nodes agree, and by how far they do not.

    Args:
        parameters: float [parameters] of each node, on the CPU.

    Returns:
        Their mean, float [parameters], and the root mean square over nodes of ||x_i - mean x||.
    """
    length, most = len(parameters[0]), max(1, AT_ONCE // (8 * COLUMNS * len(parameters))) * COLUMNS
    means, squares = list[Tensor](), torch.zeros(len(parameters), dtype=torch.float64)
    for begin in range(0, length, most):  # of a large network, all in double precision would not fit into memory
        columns = torch.stack([each[begin : begin + most] for each in parameters])
        means.append(columns.mean(dim=0))
        rows = columns.double()
        squares += rows.sub_(rows.mean(dim=0)).square_().sum(dim=1)
    return torch.cat(means), squares.mean().sqrt().item()
