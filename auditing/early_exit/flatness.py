"""How flat the minimum is that a stream has found: the curvature of its loss in its own weights."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from simulator.core.multi_exit import MultiExit

PROBES = 16


class Flatness(NamedTuple):
    """Mean loss of the samples, and the relative trace of its Hessian: the lower, the flatter."""

    loss: float
    trace: float


def flatness(
    network: MultiExit, modality: str, images: Tensor, labels: Tensor, rng: np.random.Generator, probes: int = PROBES
) -> Flatness:
    """tr(D H D), with H the Hessian of the mean loss of a sample at the stream's final exit.

    D scales each weight by the root mean square of its filter, as in Li et al. 2018 (arXiv:1712.09913): without it,
    layers before a normalisation could be made as flat as one likes by larger weights, and streams could not be
    compared. Biases and normalisations are left out, as there. The trace is estimated by Hutchinson's method on
    ``probes`` random signs from ``rng``; take the same for all that is to be compared.

    Args:
        network: in double precision.
        modality: whose stream.
        images: float64 [B, channels, height, width].
        labels: int64 [B].
        rng: draws the signs.
        probes: how many.
    """
    loss = cross_entropy(network.final(images, modality), labels)
    weights = [parameter for parameter in network.parameters() if parameter.dim() > 1]
    slopes = torch.autograd.grad(loss, weights, create_graph=True, allow_unused=True)
    used = [(weight, slope) for weight, slope in zip(weights, slopes, strict=True) if slope is not None]
    total = sum(_bend(used, rng) for _ in range(probes))
    return Flatness(loss.item(), total / probes)


def _bend(used: Sequence[tuple[Tensor, Tensor]], rng: np.random.Generator) -> float:
    """v'Hv for one probe v = D times random signs."""
    weights = [weight for weight, _ in used]
    probe = [_filter_scale(weight) * _signs(weight, rng) for weight in weights]
    along = sum(((slope * v).sum() for (_, slope), v in zip(used, probe, strict=True)), weights[0].new_zeros(()))
    bent = torch.autograd.grad(along, weights, retain_graph=True, materialize_grads=True)
    return sum(float((row * v).sum()) for row, v in zip(bent, probe, strict=True))


def _filter_scale(weight: Tensor) -> Tensor:
    """The root mean square of each filter, or row of a matrix, float [filters, 1, ...]."""
    norms = torch.linalg.vector_norm(weight.detach().flatten(1), dim=1) / sqrt(weight[0].numel())
    scale: Tensor = norms.view(-1, *(1 for _ in weight.shape[1:]))
    return scale


def _signs(like: Tensor, rng: np.random.Generator) -> Tensor:
    return torch.from_numpy(rng.choice([-1.0, 1.0], size=tuple(like.shape))).to(like)
