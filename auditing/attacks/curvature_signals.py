"""Signals of how a sample's loss changes with its input, and how it bends there; see `auditing.attacks.curvature`."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from torch import Tensor

from auditing.attacks import curvature
from auditing.attacks.curvature import Function, Point
from auditing.attacks.probed_model import ProbedModel
from auditing.attacks.signal import Signal
from simulator.core.arrays import Arrays, leaves


def point(inputs: Arrays) -> Point:
    """Prepared inputs, without their names."""
    return tuple(leaves(inputs))


def losses(model: ProbedModel, inputs: Arrays, targets: Tensor) -> Function:
    """The task's losses, as a function of what the network is given."""
    return lambda at: model.losses(_named(inputs, at), targets)


def logits(model: ProbedModel, inputs: Arrays) -> Function:
    """The network's outputs, as a function of what it is given."""
    return lambda at: model.outputs(_named(inputs, at))


def _named(like: Arrays, at: Point) -> Arrays:
    return at[0] if isinstance(like, Tensor) else dict(zip(like, at, strict=True))


class InputGradient(Signal):
    """Norm of the loss's gradient in the input; over checkpoints the cumulative sample gradient (CSG, ICLR 2026)."""

    needs: ClassVar[frozenset[str]] = frozenset({"continuous_inputs"})

    def on_batch(self, model: ProbedModel, inputs: Arrays, targets: Tensor, rng: np.random.Generator) -> Tensor:
        """The Euclidean norm over all of a sample's prepared inputs; see `curvature.gradient_norm`."""
        return curvature.gradient_norm(losses(model, inputs, targets), point(inputs))


class Curvature(Signal):
    """Base of the signals of curvature, which inputs have that are continuous; several arrays count as one vector."""

    needs: ClassVar[frozenset[str]] = frozenset({"continuous_inputs"})
    second_order: ClassVar[bool] = True


class Trace(Curvature):
    """Trace of the loss's Hessian in the input, exact where logits are piecewise linear."""

    needs: ClassVar[frozenset[str]] = frozenset({"continuous_inputs", "classes"})
    logarithm: ClassVar[bool] = True

    def on_batch(self, model: ProbedModel, inputs: Arrays, targets: Tensor, rng: np.random.Generator) -> Tensor:
        """tr(H) in closed form; see `curvature.trace`."""
        return curvature.trace(logits(model, inputs), point(inputs))


class Frobenius(Curvature):
    """Frobenius norm of the loss's Hessian in the input, exact where logits are piecewise linear."""

    needs: ClassVar[frozenset[str]] = frozenset({"continuous_inputs", "classes"})
    logarithm: ClassVar[bool] = True

    def on_batch(self, model: ProbedModel, inputs: Arrays, targets: Tensor, rng: np.random.Generator) -> Tensor:
        """||H||_F in closed form; see `curvature.frobenius`."""
        return curvature.frobenius(logits(model, inputs), point(inputs))


class Hvp(Curvature):
    """Trace of the loss's Hessian in the input, estimated by exact products, for any network."""

    def on_batch(self, model: ProbedModel, inputs: Arrays, targets: Tensor, rng: np.random.Generator) -> Tensor:
        """tr(H) by Hutchinson's estimator; see `curvature.hvp`."""
        return curvature.hvp(losses(model, inputs, targets), point(inputs), rng)


class FiniteDifference(Curvature):
    """Squared norm of the loss's Hessian in the input, by differences of gradients (Ravikumar et al. 2024)."""

    logarithm: ClassVar[bool] = True
    kinks: ClassVar[bool] = True

    def on_batch(self, model: ProbedModel, inputs: Arrays, targets: Tensor, rng: np.random.Generator) -> Tensor:
        """tr(H^2) by finite differences; see `curvature.fd`."""
        return curvature.fd(losses(model, inputs, targets), point(inputs), rng)


class ZerothOrder(Curvature):
    """Curvature of the loss in the input, from losses alone (Curvature Clues, 2024)."""

    logarithm: ClassVar[bool] = True
    kinks: ClassVar[bool] = True

    def on_batch(self, model: ProbedModel, inputs: Arrays, targets: Tensor, rng: np.random.Generator) -> Tensor:
        """The released black-box score; see `curvature.zo`."""
        return curvature.zo(losses(model, inputs, targets), point(inputs), rng)


class ZerothOrderTrace(Curvature):
    """Trace of the loss's Hessian in the input, from losses alone."""

    kinks: ClassVar[bool] = True

    def on_batch(self, model: ProbedModel, inputs: Arrays, targets: Tensor, rng: np.random.Generator) -> Tensor:
        """tr(H) from losses alone; see `curvature.zo_trace`."""
        return curvature.zo_trace(losses(model, inputs, targets), point(inputs), rng)
