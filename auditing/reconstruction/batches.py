"""Which samples a node trained on in each round: the truth that reconstructions are measured against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from simulator.core.node import Node
from simulator.runs.run import Run

NEVER = np.random.default_rng(0)  # for augmentation, of which places know nothing


@dataclass(frozen=True)
class Batches:
    """What one node trained on.

    Attributes:
        steps: by round, counted from 1, the places in the private training set of each local step's batch; None where
            the run does not tell them, because a method chose what to train on, or a secret did.
        everything: int64 [K], all places that were trained on at the end.
    """

    steps: Mapping[int, Sequence[Tensor]] | None
    everything: Tensor

    def of(self, round: int) -> Tensor:
        """int64 [B], ascending: the samples of ``round``; all that there are, where its batches are not known."""
        if self.steps is None:
            return self.everything
        return torch.tensor(sorted(set(torch.cat(list(self.steps[round])).tolist())), dtype=torch.int64)

    @classmethod
    def of_node(cls, run: Run, number: int) -> Batches:
        """Those of a node of ``run``, drawn again from the seed, as far as the run lasted.

        They are believed only if the stream of batches then stands where the run has left it.
        """
        last, fresh = run.nodes[number], run.blueprint.nodes([run.nodes[number].id])[0]
        everything = last.training_set.private_positions
        if _secret(run):
            return cls(None, everything)
        links = run.experiment.topology.build(run.experiment.seed)
        steps = {
            round: [_next(fresh) for _ in range(fresh.training.local_steps)]
            for round in range(1, last.round + 1)
            if links.at(round - 1).active[fresh.id]
        }
        same = _stands(fresh) == _stands(last)
        return cls(steps if same else None, everything)


def _next(node: Node) -> Tensor:
    stream, size = node.training_set, node.training.batch_size
    if stream.sampling is not None:
        return stream.next_batch(size, node.rng, NEVER).positions
    return torch.from_numpy(stream.next_places(min(size, len(stream)), node.rng))


def _stands(node: Node) -> dict[str, list[float]]:
    return {name: tensor.tolist() for name, tensor in node.training_set.state_dict().items()}


def _secret(run: Run) -> bool:
    """Whether batches came from the nodes' own secrets."""
    experiment = run.experiment
    return experiment.backend.name == "flower" and any(
        type(method).traits(method.config).secret_randomness for method in run.nodes[0].methods
    )
