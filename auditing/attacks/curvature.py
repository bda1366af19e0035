"""Input-loss curvature: how the loss of a sample bends in its input x, by H = d^2 loss / dx^2.

Ravikumar et al., Curvature Clues (NeurIPS 2024), attack with it; its authors' white-box estimator is in Unveiling
Privacy, Memorization, and Input Curvature Links (ICML 2024), eq. 13 and 14. x is what the network is given, such as a
normalised image, in whose units the step is given. Differences of second order in single precision are mostly rounding:
use float64.

Behind ReLU and max pooling the gradient jumps at kinks, where H says nothing. `fd`, `zo` and `zo_trace` step across
them: a jump of the gradient counts as jump / `STEP`, a thousand times as much as a bend of that size and, squared in
`fd`, a million times. At few samples that is all there is, and the mean over samples is theirs (of a cnn with max
pooling, 232 times the true one, where the median was right). Take medians or trimmed means of them, or `frobenius` and
`trace`, which are exact there.

A point is the input of B samples, one array or several, each float [B, ...]; several count as one long vector. What
depends on it is given as a function of it: ``losses`` gives float [B], ``logits`` float [B, classes]. All functions
here return float [B]. The samples may be those of several ``models``, each with all of them, one model after the other:
then all models are probed in the same directions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from simulator.core.errors import InputError, wrong

PROBES = 10  # random directions, as in the released code
STEP = 1e-3  # likewise
Point = tuple[Tensor, ...]
Function = Callable[[Point], Tensor]


@dataclass(frozen=True)
class Losses:
    """A function of the point: the losses, by way of what the network puts out there.

    Attributes:
        outputs: float [B, ...] at a point.
        of_outputs: float [B], the losses of such outputs.
    """

    outputs: Function
    of_outputs: Callable[[Tensor], Tensor]

    def __call__(self, at: Point) -> Tensor:
        """float [B]."""
        return self.of_outputs(self.outputs(at))


def trace(logits: Function, at: Point) -> Tensor:
    """tr(H) of cross-entropy, in closed form where logits are piecewise linear in x, as behind ReLU and max pooling.

    Almost everywhere H = J'(diag p - pp')J then, with J the logits' Jacobian and p the probabilities, whatever the
    label: tr(H) = sum_k p_k |J_k - m|^2 with m = sum_k p_k J_k, which no rounding makes negative.

    Raises:
        InputError: the logits are not piecewise linear, or have no gradient.
    """
    jacobian, p = _jacobian(logits, at)
    mean = (p[:, :, None] * jacobian).sum(1, keepdim=True)
    return (p * (jacobian - mean).square().sum(2)).sum(1)


def frobenius(logits: Function, at: Point) -> Tensor:
    """||H||_F = sqrt(tr((S G)^2)) with S = diag p - pp' and G = JJ', under the conditions of `trace`."""
    jacobian, p = _jacobian(logits, at)
    # H and (S G) have the same powers' traces, and S G is classes x classes.
    product = (torch.diag_embed(p) - p[:, :, None] * p[:, None, :]) @ (jacobian @ jacobian.mT)
    return (product * product.mT).sum((1, 2)).clamp(min=0).sqrt()


def hvp(losses: Losses, at: Point, rng: np.random.Generator, models: int = 1) -> Tensor:
    """tr(H) = E[v'Hv] over random signs v (Hutchinson), with exact products Hv: for any activation."""
    product, total = _through_outputs(losses, at) or _through_inputs(losses, at), _zeros(at)
    for v in _signs(at, rng, models):
        total += product(v)
    return total / PROBES


def _through_inputs(losses: Function, at: Point) -> Function:
    """v'Hv as a function of v, by the derivative of the gradient along v."""
    x = _leaf(at)
    gradient = _gradient(losses(x), x, create_graph=True)
    return lambda v: _dot(v, _derivative(gradient, x, v))


def _through_outputs(losses: Losses, at: Point) -> Function | None:
    """v'Hv as a function of v, in half the passes; None where outputs bend at one of the samples.

    Where they do not, v'Hv = (Jv)'S(Jv) with J their Jacobian and S the Hessian of the losses in them (Schraudolph
    2002). J'u is linear in u, so its derivative along u, at any u, is J.
    """
    x = _leaf(at)
    outputs = losses.outputs(x)
    u = torch.linspace(1, 2, outputs[0].numel(), dtype=outputs.dtype).view(outputs[0].shape)
    u = u.expand_as(outputs).clone().requires_grad_()
    pulled = _gradient(outputs * u, x, create_graph=True)
    if _bend(pulled, x):
        return None
    z = outputs.detach().requires_grad_()
    (slope,) = _gradient(losses.of_outputs(z), (z,), create_graph=True)

    def product(v: Point) -> Tensor:
        pushed = _derivative(pulled, (u,), v)
        return _dot(pushed, _derivative((slope,), (z,), pushed))

    return product


def fd(losses: Function, at: Point, rng: np.random.Generator, models: int = 1) -> Tensor:
    """tr(H^2) = ||H||_F^2 = E|Hv|^2 over random signs v, with Hv from finite differences of the gradient: white box.

    A kink between the two gradients counts a million times; see above.
    """

    def gradient(at: Point) -> Point:
        x = _leaf(at)
        return _gradient(losses(x), x)

    start, total = gradient(at), _zeros(at)
    for v in _signs(at, rng, models):
        there = gradient(_moved(at, STEP, v))
        total += _squares(tuple((g - g0) / STEP for g, g0 in zip(there, start, strict=True)))
    return total / PROBES


@torch.no_grad()
def zo(losses: Function, at: Point, rng: np.random.Generator, models: int = 1) -> Tensor:
    """The released black-box score, from four losses a probe.

    It is the mean of |L(x+v+u) - L(x-v+u) - L(x+v-u) + L(x-v-u)| / 4h with u and v independent signs times h: about
    h E|u'Hv| of unit signs, hence no trace but around 0.75 h ||H||_F.
    """
    total = _zeros(at)
    for _ in range(PROBES):
        u, v = _signs(at, rng, models, 2)

        def loss(of_v: float, of_u: float, u: Point = u, v: Point = v) -> Tensor:
            return losses(_moved(_moved(at, of_v * STEP, v), of_u * STEP, u))

        total += (loss(1, 1) - loss(-1, 1) - loss(1, -1) + loss(-1, -1)).abs() / (4 * STEP)
    return total / PROBES


@torch.no_grad()
def zo_trace(losses: Function, at: Point, rng: np.random.Generator, models: int = 1) -> Tensor:
    """tr(H) = E[(L(x+hv) - 2 L(x) + L(x-hv)) / h^2] over random signs v: black box, and a trace."""
    start, total = losses(at), _zeros(at)
    for v in _signs(at, rng, models):
        there, back = (losses(_moved(at, step, v)) for step in (STEP, -STEP))
        total += (there - 2 * start + back) / STEP**2
    return total / PROBES


def gradient_norm(losses: Function, at: Point) -> Tensor:
    """The Euclidean norm of each sample's gradient in its own x."""
    x = _leaf(at)
    return _squares(_gradient(losses(x), x)).sqrt()


def _leaf(at: Point) -> Point:
    return tuple(each.detach().requires_grad_() for each in at)


def _zeros(at: Point) -> Tensor:
    return torch.zeros(len(at[0]), dtype=at[0].dtype)


def _moved(at: Point, step: float, v: Point) -> Point:
    return tuple(x + step * each for x, each in zip(at, v, strict=True))


def _signs(like: Point, rng: np.random.Generator, models: int, probes: int = PROBES) -> list[Point]:
    """Directions of each sample, the same ones for all models."""
    shapes = [(probes, len(x) // models, *x.shape[1:]) for x in like]
    drawn = [torch.from_numpy(rng.choice([-1.0, 1.0], size=shape)) for shape in shapes]
    of_each = [torch.cat([signs] * models, 1).to(x.dtype) for signs, x in zip(drawn, like, strict=True)]
    return list(zip(*of_each, strict=True))


def _jacobian(logits: Function, at: Point) -> tuple[Tensor, Tensor]:
    """The Jacobian of the logits, float [B, classes, inputs]; and the probabilities, float [B, classes]."""
    _check_piecewise_linear(logits, tuple(x[:2] for x in at))
    x = _leaf(at)
    found = logits(x)
    rows = [torch.cat([each.flatten(1) for each in _gradient(column, x)], 1) for column in found.unbind(1)]
    return torch.stack(rows, 1), found.detach().softmax(1)


def _check_piecewise_linear(logits: Function, at: Point) -> None:
    x = _leaf(at)
    found = logits(x)
    mixed = found @ torch.linspace(1, 2, found.shape[1], dtype=found.dtype)
    if _bend(_gradient(mixed, x, create_graph=True), x):
        raise wrong(
            "--signal",
            "curvature in closed form needs logits that are piecewise linear in the input, and these are not.",
            "Use curvature_hvp, which suits any network.",
        )


def _bend(gradient: Point, x: Point) -> bool:
    """Whether a ``gradient`` of mixed outputs changes with ``x``."""
    # Along itself, so that second derivatives cannot cancel by adding up to zero.
    return any(bool(each.any()) for each in _derivative(gradient, x, tuple(each.detach() for each in gradient)))


def _gradient(values: Tensor, x: Point, create_graph: bool = False) -> Point:
    """The gradient of each sample's value in its own input; samples do not depend on each other."""
    found = torch.autograd.grad(values.sum(), x, create_graph=create_graph, retain_graph=True, allow_unused=True)
    if all(each is None for each in found):
        raise wrong(
            "--signal",
            "this network has no gradient with respect to its input.",
            "Use signals that need none, such as loss, logit_margin or curvature_zo.",
        )
    return tuple(torch.zeros_like(each) if of is None else of for of, each in zip(found, x, strict=True))


def _derivative(values: Point, x: Point, along: Point) -> Point:
    """The gradient in ``x`` of the inner product of ``values`` and ``along``; 0 where they do not depend on it."""
    moving = [(value, way) for value, way in zip(values, along, strict=True) if value.requires_grad]
    if not moving:
        return tuple(map(torch.zeros_like, x))
    depending, ways = zip(*moving, strict=True)
    try:
        return torch.autograd.grad(depending, x, ways, retain_graph=True, materialize_grads=True)
    except RuntimeError as error:  # of torch's fused attention, for one
        if "is not implemented" not in str(error):
            raise
        raise _without_second_derivative(error) from error


def _without_second_derivative(error: RuntimeError) -> InputError:
    what = f"this network has no second derivatives: {error}."
    return wrong("--signal", what, "Use curvature_fd or embedding_curvature, which take differences of gradients.")


def _dot(a: Point, b: Point) -> Tensor:
    return torch.stack([(one * other).flatten(1).sum(1) for one, other in zip(a, b, strict=True)]).sum(0)


def _squares(a: Point) -> Tensor:
    return torch.stack([each.square().flatten(1).sum(1) for each in a]).sum(0)
