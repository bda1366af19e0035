"""Input-loss curvature: how the loss of a sample bends in its input x, by H = d^2 loss / dx^2.

Ravikumar et al., Curvature Clues (NeurIPS 2024), attack with it; its authors' white-box estimator is in Unveiling
Privacy, Memorization, and Input Curvature Links (ICML 2024), eq. 13 and 14. x is the normalised image, in whose units
the step is given. Differences of second order in single precision are mostly rounding: use float64.

Behind ReLU and max pooling the gradient jumps at kinks, where H says nothing. `fd`, `zo` and `zo_trace` step across
them: a jump of the gradient counts as jump / `STEP`, a thousand times as much as a bend of that size and, squared in
`fd`, a million times. At few samples that is all there is, and the mean over samples is theirs (of a cnn with max
pooling, 232 times the true one, where the median was right). Take medians or trimmed means of them, or `frobenius` and
`trace`, which are exact there.

All functions take images float [B, channels, height, width] and labels int64 [B], and return float [B].
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from simulator.core.errors import wrong
from simulator.core.flat_module import FlatModule

PROBES = 10  # random directions, as in the released code
STEP = 1e-3  # likewise


def trace(network: FlatModule, images: Tensor, labels: Tensor, rng: np.random.Generator) -> Tensor:
    """tr(H), in closed form where logits are piecewise linear in x, as behind ReLU and max pooling.

    Almost everywhere H = J'(diag p - pp')J then, with J the logits' Jacobian and p the probabilities, whatever the
    label: tr(H) = sum_k p_k |J_k - m|^2 with m = sum_k p_k J_k, which no rounding makes negative.

    Raises:
        InputError: the logits are not piecewise linear, or have no gradient.
    """
    jacobian, p = _jacobian(network, images)
    mean = (p[:, :, None] * jacobian).sum(1, keepdim=True)
    return (p * (jacobian - mean).square().sum(2)).sum(1)


def frobenius(network: FlatModule, images: Tensor, labels: Tensor, rng: np.random.Generator) -> Tensor:
    """||H||_F = sqrt(tr((S G)^2)) with S = diag p - pp' and G = JJ', under the conditions of `trace`."""
    jacobian, p = _jacobian(network, images)
    # H and (S G) have the same powers' traces, and S G is classes x classes.
    product = (torch.diag_embed(p) - p[:, :, None] * p[:, None, :]) @ (jacobian @ jacobian.mT)
    return (product * product.mT).sum((1, 2)).clamp(min=0).sqrt()


def hvp(network: FlatModule, images: Tensor, labels: Tensor, rng: np.random.Generator) -> Tensor:
    """tr(H) = E[v'Hv] over random signs v (Hutchinson), with exact products Hv: for any activation."""
    x = images.detach().requires_grad_()
    gradient = _gradient(_losses(network, x, labels), x, create_graph=True)
    total = torch.zeros(len(x), dtype=x.dtype)
    for v in _signs(x, rng):
        total += _dot(v, _derivative(gradient * v, x))
    return total / PROBES


def fd(network: FlatModule, images: Tensor, labels: Tensor, rng: np.random.Generator) -> Tensor:
    """tr(H^2) = ||H||_F^2 = E|Hv|^2 over random signs v, with Hv from finite differences of the gradient: white box.

    A kink between the two gradients counts a million times; see above.
    """
    x, total = images.detach(), torch.zeros(len(images), dtype=images.dtype)

    def gradient(at: Tensor) -> Tensor:
        at = at.clone().requires_grad_()
        return _gradient(_losses(network, at, labels), at)

    start = gradient(x)
    for v in _signs(x, rng):
        total += ((gradient(x + STEP * v) - start) / STEP).square().flatten(1).sum(1)
    return total / PROBES


@torch.no_grad()
def zo(network: FlatModule, images: Tensor, labels: Tensor, rng: np.random.Generator) -> Tensor:
    """The released black-box score, from four losses a probe.

    It is the mean of |L(x+v+u) - L(x-v+u) - L(x+v-u) + L(x-v-u)| / 4h with u and v independent signs times h: about
    h E|u'Hv| of unit signs, hence no trace but around 0.75 h ||H||_F.
    """

    def loss(x: Tensor) -> Tensor:
        return _losses(network, x, labels)

    total = torch.zeros(len(images), dtype=images.dtype)
    for _ in range(PROBES):
        u, v = (STEP * sign for sign in _signs(images, rng, 2))
        bend = loss(images + v + u) - loss(images - v + u) - loss(images + v - u) + loss(images - v - u)
        total += bend.abs() / (4 * STEP)
    return total / PROBES


@torch.no_grad()
def zo_trace(network: FlatModule, images: Tensor, labels: Tensor, rng: np.random.Generator) -> Tensor:
    """tr(H) = E[(L(x+hv) - 2 L(x) + L(x-hv)) / h^2] over random signs v: black box, and a trace."""
    start, total = _losses(network, images, labels), torch.zeros(len(images), dtype=images.dtype)
    for v in _signs(images, rng):
        there, back = (_losses(network, images + step * v, labels) for step in (STEP, -STEP))
        total += (there - 2 * start + back) / STEP**2
    return total / PROBES


def _losses(network: FlatModule, x: Tensor, labels: Tensor) -> Tensor:
    return cross_entropy(network.module(x), labels, reduction="none")


def _signs(like: Tensor, rng: np.random.Generator, probes: int = PROBES) -> list[Tensor]:
    shape = (probes, *like.shape)
    return list(torch.from_numpy(rng.choice([-1.0, 1.0], size=shape)).to(like.dtype))


def _jacobian(network: FlatModule, images: Tensor) -> tuple[Tensor, Tensor]:
    """The Jacobian of the logits, float [B, classes, inputs]; and the probabilities, float [B, classes]."""
    _check_piecewise_linear(network, images[:2])
    x = images.detach().requires_grad_()
    logits = network.module(x)
    rows = [_gradient(column, x) for column in logits.unbind(1)]
    return torch.stack(rows, 1).flatten(2), logits.detach().softmax(1)


def _check_piecewise_linear(network: FlatModule, images: Tensor) -> None:
    x = images.detach().requires_grad_()
    logits = network.module(x)
    mixed = logits @ torch.linspace(1, 2, logits.shape[1], dtype=x.dtype)
    # Squared, so that second derivatives cannot cancel by adding up to zero.
    if _derivative(_gradient(mixed, x, create_graph=True).square(), x).any():
        raise wrong(
            "--signal",
            "curvature in closed form needs logits that are piecewise linear in the image, and these are not.",
            "Use curvature_hvp, which suits any network.",
        )


def _gradient(values: Tensor, x: Tensor, create_graph: bool = False) -> Tensor:
    """The gradient of each sample's value in its own input; samples do not depend on each other."""
    total = values.sum()
    (found,) = torch.autograd.grad(total, x, create_graph=create_graph, retain_graph=True, allow_unused=True)
    if found is None:
        raise wrong(
            "--signal",
            "this network has no gradient with respect to the image.",
            "Use signals that need none, such as loss, logit_margin or curvature_zo.",
        )
    return found


def _derivative(values: Tensor, x: Tensor) -> Tensor:
    """The gradient of the sum of ``values`` in ``x``, 0 where they do not depend on it."""
    found: Tensor = torch.autograd.grad(values.sum(), x, retain_graph=True, materialize_grads=True)[0]
    return found


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).flatten(1).sum(1)
