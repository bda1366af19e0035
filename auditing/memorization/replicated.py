"""Memorization as it is defined: how much a model's prediction of a sample depends on having been trained on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from auditing.finite import check_finite
from auditing.memorization.score import MemorizationScore, ScoreSettings
from auditing.replicas import not_replicable, train
from auditing.views.record import FinalModel
from simulator.core.errors import Problem
from simulator.core.samples import Samples
from simulator.results.console import Console
from simulator.runs.run import Run

Floats = NDArray[np.float64]


def memorization(correct: NDArray[np.bool_], member_of: NDArray[np.bool_]) -> Floats:
    """mem_i = Pr[h(x_i) = y_i | i in S] - Pr[h(x_i) = y_i | i not in S] (Feldman and Zhang 2020, eq. 1).

    Args:
        correct: bool or float [M, N], whether each of M models predicts the label of each sample.
        member_of: bool [M, N], whether it was trained on it.

    Returns:
        float64 [N] within [-1, 1]; NaN where all models were, or none was, trained on the sample.
    """
    inside, outside = (_share(correct, chosen) for chosen in (member_of, ~member_of))
    return inside - outside


class Replicated(MemorizationScore):
    """How much a model's prediction of a sample depends on having been trained on it, by networks like the run's."""

    needs: ClassVar[frozenset[str]] = frozenset({"classes"})

    def lacking(self, run: Run, settings: ScoreSettings) -> Iterator[Problem]:
        """What keeps a run from having replicas, where there are to be any."""
        if settings.replicas:
            yield from not_replicable(run)

    def scores(self, run: Run, settings: ScoreSettings) -> dict[str, Floats]:
        """``replica memorization``, which is `memorization`; nothing where there are to be no replicas."""
        if not settings.replicas:
            return {}
        trained, everyone = train(run, settings.replicas, [Console()]), [node.data.train for node in run.nodes]
        asked = Samples(everyone[0].inputs, everyone[0].targets, torch.cat([samples.index for samples in everyone]))
        models = ((trained.models(each), f"replica {each + 1}: ") for each in range(trained.number))
        correct = np.stack([_correct(run, found, whose) for found, whose in models])
        return {"replica memorization": memorization(correct, trained.member_of(asked))}


def _correct(run: Run, models: Sequence[FinalModel], whose: str) -> NDArray[np.bool_]:
    """Whether each training sample is classified as labelled by the model in its own node's place, bool [N].

    Of logits that are NaN, the first would be the largest: they are refused.
    """
    network, found = run.blueprint.module(), []
    for node, (parameters, running) in zip(run.nodes, models, strict=True):
        network.bind(parameters, network.buffers_of(running))
        labels = node.data.train.targets_at(torch.arange(len(node.data.train)))
        logits = network.outputs(node.data.train, node.data.preparation)
        if node.id not in run.directory.attackers:
            check_finite(logits.numpy(), "logits", node.data.train, f"{whose}final of {node.id}")
        found.append(logits.argmax(1) == labels)
    return torch.cat(found).numpy()


def _share(correct: NDArray[np.bool_], chosen: NDArray[np.bool_]) -> Floats:
    count = chosen.sum(axis=0)
    found: Floats = np.where(count > 0, (correct * chosen).sum(axis=0) / np.maximum(count, 1), np.nan)
    return found
