"""How good a parameter vector is: accuracy, loss, and how far the nodes are apart."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from simulator.core.flat_module import FlatModule
from simulator.core.samples import Normalizer, Samples


class Score(NamedTuple):
    """Of one model on one labelled set; ``loss`` is the mean cross-entropy."""

    accuracy: float
    loss: float


class ConsensusGroup(NamedTuple):
    """Nodes whose average is a model, as they take part in one network on inputs of one kind; what it is tested on."""

    nodes: frozenset[int]
    test: Samples
    normalizer: Normalizer


def evaluate(module: FlatModule, parameters: Tensor, samples: Samples, normalizer: Normalizer) -> Score:
    """The score of the model with ``parameters`` (float [parameters]) on ``samples``."""
    module.bind(parameters.to(module.device))
    return score(module.logits(samples, normalizer), samples.labels_at(torch.arange(len(samples))))


def score(logits: Tensor, labels: Tensor) -> Score:
    """The score of predictions (float [N, classes]) for samples of classes ``labels`` (int64 [N])."""
    accuracy = (logits.argmax(dim=1) == labels).double().mean().item()
    return Score(accuracy, cross_entropy(logits.double(), labels).item())


def majority_share(labels: Tensor) -> float:
    """The accuracy of always answering the most common class among ``labels`` (int64 [N])."""
    return labels.bincount().max().item() / len(labels)


def consensus_distance(parameters: Tensor) -> float:
    """Root mean square over nodes of ||x_i - mean x||, for float [nodes, parameters]."""
    rows = parameters.double()
    return (rows - rows.mean(dim=0)).square().sum(dim=1).mean().sqrt().item()
