"""Tokens to try networks on."""

from __future__ import annotations

import torch

from simulator.core.flat_module import FlatModule
from simulator.core.samples import NodeData, Samples
from simulator.core.specification import InputSpec, OutputSpec
from simulator.core.task import Task
from simulator.data.kinds.tokens import TokenPreparation
from simulator.training.separable import check_layers, check_samples_apart
from simulator.training.stackable import obstacle


def tokens(task: Task, length: int, vocabulary: int, outputs: int) -> NodeData:
    """Six samples of random tokens, all but the last with padding."""
    ids = torch.randint(vocabulary, (6, length), generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([1, 2, 3, length - 1, length - 2, length], dtype=torch.int32)
    targets = ids.roll(-1, 1) if task.by_token else torch.arange(6) % outputs
    samples = Samples({"ids": ids, "lengths": lengths}, targets, torch.arange(6))
    spec = InputSpec("tokens", (length,), vocabulary=vocabulary), OutputSpec(task, outputs)
    return NodeData(samples, samples, samples, samples, None, TokenPreparation(), *spec)


def batch(data: NodeData) -> tuple[torch.Tensor, torch.Tensor]:
    """Its ids and their mask."""
    arrays = data.preparation(data.train.inputs_at(torch.arange(6)))
    return arrays["ids"], arrays["mask"]  # type: ignore[call-overload, return-value]


def check_vectorises(network: torch.nn.Module, data: NodeData) -> None:
    """Many models, and the samples of one, can be computed at once."""
    check_layers(network)
    module = FlatModule(network)
    check_samples_apart(module, data)
    assert obstacle(module, data) is None
