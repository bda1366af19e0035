"""How many samples of each class were in a round's batches, from the gradient of the last layer's bias.

With softmax and cross-entropy, the gradient of the bias of class k is the mean over the batch of p_k less the share of
samples of that class, so count_k = B (p_k - db_k), exactly, if the mean of p is known. What is not known of it, the
model's mean answer to public samples stands for (Geng et al. 2021, arXiv:2110.09074; Wainakh et al. 2022,
arXiv:2105.09369).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auditing.networks import last_bias
from auditing.reconstruction.scene import Scene, choices
from simulator.core.arrays import called
from simulator.core.flat_module import FlatModule
from simulator.core.samples import NodeData

Counts = NDArray[np.int64]


def label_counts(scene: Scene) -> Counts | None:
    """int64 [classes], adding up to the samples of the round; None where the last layer has no bias to tell them."""
    name = telling_bias(scene.network, scene.node.data)
    if name is None:
        return None
    moved = scene.network.named_views(scene.gradient.total)[name].numpy()
    if len(moved) == 1:  # the logit of yes is that of two classes, one of which is 0
        moved = np.array([-moved[0], moved[0]])
    ends = [scene.gradient.start] if scene.gradient.steps == 1 else [scene.gradient.start, scene.gradient.end]
    answers = np.mean([_mean_answer(scene, each) for each in ends], axis=0)
    return counted(moved, answers * scene.gradient.steps, scene.batch)


def telling_bias(network: FlatModule, data: NodeData) -> str | None:
    """The name of the bias of the last layer, where labels follow from its gradient; else None."""
    return last_bias(network, data.classes or 1) if choices(data) else None


def counted(moved: NDArray[np.float64], answers: NDArray[np.float64], batch: int) -> Counts:
    """Counts of each class, int64 [classes].

    Args:
        moved: float64 [classes], the gradient of the bias, added up over the steps.
        answers: float64 [classes], the mean of the softmax in each step's batch, added up likewise.
        batch: samples of a step.

    They add up to all samples of all steps: what is nearest to the next whole number is rounded up first.
    """
    wanted = np.clip(batch * (answers - moved), 0, None)
    missing = round(batch * float(answers.sum()))
    wanted *= missing / max(wanted.sum(), np.finfo(np.float64).tiny)
    counts = np.floor(wanted + 1e-9).astype(np.int64)
    order = np.argsort(counts - wanted, kind="stable")
    counts[order[: missing - counts.sum()]] += 1
    return counts


def _mean_answer(scene: Scene, parameters: Tensor) -> NDArray[np.float64]:
    scene.network.bind(parameters.contiguous())
    with torch.no_grad():
        outputs = called(scene.network.module, scene.public)
    if outputs.shape[1] == 1:
        outputs = torch.cat([torch.zeros_like(outputs), outputs], dim=1)
    answers: NDArray[np.float64] = outputs.softmax(1).mean(0).numpy()
    return answers
