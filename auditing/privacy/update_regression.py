"""Update regression: which samples' gradients a node's recorded updates are made of."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import grad, vmap
from torch.nn.functional import normalize

from auditing.attackers import honest_nodes
from auditing.attacks.probed_model import ProbedModel
from auditing.candidates import Candidates
from auditing.networks import network_of
from auditing.threads import one_a_core
from auditing.views.record import RunRecord, Stored
from simulator.core.arrays import Arrays
from simulator.core.flat_module import EVALUATION_BATCH, FlatModule
from simulator.core.node import Node
from simulator.core.samples import Samples
from simulator.core.seeding import generator
from simulator.runs.run import Run

RIDGE = 0.3  # the less, the more the noise of DP-SGD is amplified; the more, the less similar samples are told apart


def coefficients(run: Run, record: RunRecord, canaries: Candidates, known: int) -> NDArray[np.float64]:
    """How much of its node's updates each canary explains, float64 [m]; the b_i of the canaries in ::

        min_b  sum_t |s_t - m_t - sum_i b_i g_ti / |g_ti||^2  +  RIDGE T sum_i b_i^2

    over the T recorded rounds, in which the node started from s_t and sent m_t, and g_ti is the gradient of sample i at
    s_t: of the node's canaries, in or out, and of its other training samples. The attacker is the one of differential
    privacy: it sees all messages and knows all samples and labels, all but the canaries' coins. A step along clipped
    gradients has equal b_i for all samples that were in, and 0 for those that were not. White-box audits of DP-SGD take
    the gradient's inner product with the update (Nasr et al. 2023, arXiv:2302.07956); samples of one class have similar
    gradients, which that takes for each other and the regression tells apart.

    Args:
        run: that was recorded.
        record: what was.
        canaries: whose coins are asked.
        known: at most this many other training samples of a node, drawn by the run's seed, are explained away.
    """  # noqa: D415
    victims = honest_nodes(run)
    networks = [network_of(run, "fp64") for _ in victims]  # made here, not in each thread

    def of(node: Node, network: FlatModule) -> NDArray[np.float64]:
        mine = canaries.samples.subset(torch.from_numpy(np.flatnonzero(canaries.node == node.id)))
        samples = Samples(mine.inputs, mine.targets, torch.cat([mine.index, _others(node, mine, known)]))
        model = ProbedModel(network, node.data.preparation, node.data.task)
        gram, product = RIDGE * torch.eye(len(samples), dtype=torch.float64), torch.zeros(len(samples)).double()
        steps = list(_steps(record, node.id))
        for start, sent in steps:
            gradients = normalize(_gradients(model, start, samples), dim=1)
            gram += gradients @ gradients.T / len(steps)
            product += gradients @ (start - sent) / len(steps)
        found: NDArray[np.float64] = torch.linalg.solve(gram, product)[: len(mine)].numpy()
        return found

    scores = np.empty(len(canaries))
    with one_a_core() as pool:
        for node, found in zip(victims, pool.map(of, victims, networks), strict=True):
            scores[canaries.node == node.id] = found
    return scores


def _others(node: Node, canaries: Samples, known: int) -> Tensor:
    """Rows of the node's training samples that are no canaries, int64 [at most known]."""
    index = node.data.train.index
    index = index[~torch.isin(index, canaries.index)]
    chosen = generator(node.seed, "audit.known", node=node.id).permutation(len(index))[:known]
    return index[torch.from_numpy(np.sort(chosen))]


def _steps(record: RunRecord, node: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The models, float64 [parameters], with which a node began each recorded round and that it sent in it."""
    for round in record.rounds:
        sent = (record.message(round, node, receiver) for receiver in record.receivers(round, node))
        shown = next((model for model in sent if model), None)
        if shown:
            yield record.load(Stored("start", node, round)), record.load(shown)


def _gradients(model: ProbedModel, parameters: Tensor, samples: Samples) -> Tensor:
    """The gradients of the loss, sample by sample, float64 [N, parameters]."""
    network = model.network

    def loss(flat: Tensor, one: Arrays, target: Tensor) -> Tensor:
        return model.loss_at(network.named_views(flat), one, target)

    network.module.eval()
    gradient, rows = vmap(grad(loss), in_dims=(None, 0, 0)), []
    for chunk in torch.split(torch.arange(len(samples)), EVALUATION_BATCH):
        inputs = model.preparation(samples.inputs_at(chunk), network.dtype)
        rows.append(gradient(parameters, inputs, samples.targets_at(chunk)))
    return torch.cat(rows)
