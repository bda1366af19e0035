"""Which way to move an image: the gradient of a single loss, or what becomes of those of an ensemble's members.

``ascent(ensemble, images, labels)`` gives a direction, float [B, height, width, channels], of which attacks take the
sign. The three for ensembles are those of Ravikumar et al. 2020 (arXiv:2008.01524), as in its released code.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, nll_loss

from auditing.robustness.ensemble import Ensemble

Ascent = Callable[[Ensemble, Tensor, Tensor], Tensor]


def of_mean_softmax(ensemble: Ensemble, images: Tensor, labels: Tensor) -> Tensor:
    """The gradient of -log of the mean probability of the label (Tramer et al. 2020, arXiv:2002.08347, section 5)."""
    images = images.detach().requires_grad_()
    return gradient(nll_loss(ensemble.log_probabilities(images), labels, reduction="sum"), images)


def d_ag(ensemble: Ensemble, images: Tensor, labels: Tensor) -> Tensor:
    """The sum of the members' gradients, which a single one can dominate."""
    return _of_members(ensemble, images, labels).sum(0)


def a_gd(ensemble: Ensemble, images: Tensor, labels: Tensor) -> Tensor:
    """The sum of their signs: each member has one vote a pixel."""
    return _of_members(ensemble, images, labels).sign().sum(0)


def u_gd(ensemble: Ensemble, images: Tensor, labels: Tensor) -> Tensor:
    """Their sign where all agree, and 0 elsewhere."""
    signs = _of_members(ensemble, images, labels).sign()
    return signs[0] * (signs == signs[0]).all(0)


def _of_members(ensemble: Ensemble, images: Tensor, labels: Tensor) -> Tensor:
    """The gradients of each member's own cross-entropy, float [members, B, height, width, channels]."""
    images = images.detach().requires_grad_()
    losses = (cross_entropy(logits, labels, reduction="sum") for logits in ensemble.logits(images))
    return torch.stack([gradient(loss, images) for loss in losses])


def gradient(loss: Tensor, images: Tensor) -> Tensor:
    """The gradient of ``loss`` in ``images``; 0 where it does not depend on them, as far as autograd knows."""
    found = torch.autograd.grad(loss, images, allow_unused=True)[0] if loss.requires_grad else None
    return torch.zeros_like(images) if found is None else found
