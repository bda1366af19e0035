"""Weights reduced to the directions that matter to verified samples.

The paper decomposes the matrix R [d, m] of a layer's inputs, R = U S V^T, and multiplies the weights by U Lambda U^T.
Since R R^T = U S^2 U^T, the eigenvectors and eigenvalues of this d x d matrix give exactly the same. It is a sum over
samples, so that the inputs need not be kept: the released code keeps 50,000 of them a layer. Where there are fewer
inputs than d, decomposing these is less work.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from methods.verifix.activations import Inputs
from simulator.core.flat_module import FlatModule


class Spectrum(NamedTuple):
    """How a layer's input is spread over directions; what is orthogonal to all of these has no share.

    Attributes:
        shares: float64 [k], k at most d, descending, sum 1: s_i = S_i^2 / sum_j S_j^2; all 0 for an input that is 0.
        directions: float64 [d, k], as columns.
    """

    shares: Tensor
    directions: Tensor

    @property
    def size(self) -> int:
        """d, the layer's inputs."""
        return len(self.directions)

    @property
    def all_shares(self) -> Tensor:
        """float64 [d], with those that are 0 for want of inputs."""
        return pad(self.shares, (0, self.size - len(self.shares)))

    @property
    def rank(self) -> int:
        """Directions that the samples have something in, up to rounding."""
        noise = self.size * torch.finfo(torch.float64).eps * self.shares[0]
        return int((self.shares > noise).sum())


def spectrum(inputs: Inputs) -> Spectrum:
    """Of the layer that was given ``inputs``."""
    if inputs.is_gram:
        values, vectors = torch.linalg.eigh(inputs.matrix)
        squares, directions = values.clamp(min=0).flip(0), vectors.flip(1)  # rounding makes some zeros negative
    else:
        _, singular, transposed = torch.linalg.svd(inputs.matrix, full_matrices=False)
        squares, directions = singular.square(), transposed.T
    total = squares.sum()
    return Spectrum(squares / total if total > 0 else squares, directions)


def importance(shares: Tensor, alpha: float) -> Tensor:
    """float [k] in [0, 1]: lambda_i = alpha s_i / ((alpha - 1) s_i + 1), how much of each direction is kept.

    It grows with alpha, from s_i at alpha 1 to 1 in the limit, for every direction that the samples have a share in.
    """
    return alpha * shares / ((alpha - 1) * shares + 1)


def projected(weight: Tensor, layer: Spectrum, alpha: float) -> Tensor:
    """float64 [outputs, d]: W P^T for the projection P = U Lambda U^T, symmetric, with eigenvalues in [0, 1]."""
    return (weight.double() @ layer.directions * importance(layer.shares, alpha)) @ layer.directions.T


def corrected(model: FlatModule, parameters: Tensor, spectra: Mapping[str, Spectrum], alpha: float) -> Tensor:
    """float [parameters]: a copy in which the weight of every layer in ``spectra``, flattened, is `projected`.

    All layers at once, from the same pass through the network; all other parameters, biases and normalisation among
    them, stay as they are.
    """
    copy = parameters.clone()
    weights = model.named_views(copy)
    for name, layer in spectra.items():
        weight = weights[name]
        weight.copy_(projected(weight.flatten(1), layer, alpha).view(weight.shape))
    return copy
