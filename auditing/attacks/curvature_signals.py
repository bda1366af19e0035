"""Signals of how a sample's loss changes with its input, and how it bends there; see `auditing.attacks.curvature`."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from torch import Tensor

from auditing.attacks import curvature
from auditing.attacks.curvature import Function, Losses, Point
from auditing.attacks.probed_batch import ProbedBatch
from auditing.attacks.probed_model import ProbedModel
from auditing.attacks.signal import Signal
from simulator.core.arrays import Arrays, leaves


def point(inputs: Arrays) -> Point:
    """Prepared inputs, without their names."""
    return tuple(leaves(inputs))


def losses(model: ProbedModel, inputs: Arrays, targets: Tensor) -> Losses:
    """The task's losses, as a function of what the network is given."""
    return Losses(logits(model, inputs), lambda outputs: model.task.losses(outputs, targets))


def logits(model: ProbedModel, inputs: Arrays) -> Function:
    """The network's outputs, as a function of what it is given."""
    return lambda at: model.outputs(model.named(inputs, at))


class OfLosses(Signal):
    """Base of the signals of how losses change with the input; override `of_losses`."""

    @abstractmethod
    def of_losses(self, losses: Losses, at: Point, rng: np.random.Generator, models: int) -> Tensor:
        """float [models * B], of B samples in several models, one model after the other; see `curvature`."""

    def on_batch(self, model: ProbedModel, inputs: Arrays, targets: Tensor, rng: np.random.Generator) -> Tensor:
        """`of_losses` of one model."""
        return self.of_losses(losses(model, inputs, targets), point(inputs), rng, 1)

    def on_models(self, batch: ProbedBatch, rng: np.random.Generator) -> Tensor:
        """`of_losses` of all models at once."""
        return self.of_losses(batch.losses, batch.point, rng, batch.models).view(batch.models, -1)


class InputGradient(OfLosses):
    """Norm of the loss's gradient in the input; over checkpoints the cumulative sample gradient (CSG, ICLR 2026)."""

    needs: ClassVar[frozenset[str]] = frozenset({"continuous_inputs"})

    def of_losses(self, losses: Losses, at: Point, rng: np.random.Generator, models: int) -> Tensor:
        """The Euclidean norm over all of a sample's prepared inputs; see `curvature.gradient_norm`."""
        return curvature.gradient_norm(losses, at)


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


class Hvp(Curvature, OfLosses):
    """Trace of the loss's Hessian in the input, estimated by exact products, for any network."""

    def of_losses(self, losses: Losses, at: Point, rng: np.random.Generator, models: int) -> Tensor:
        """tr(H) by Hutchinson's estimator; see `curvature.hvp`."""
        return curvature.hvp(losses, at, rng, models)


class FiniteDifference(Curvature, OfLosses):
    """Squared norm of the loss's Hessian in the input, by differences of gradients (Ravikumar et al. 2024)."""

    logarithm: ClassVar[bool] = True
    kinks: ClassVar[bool] = True

    def of_losses(self, losses: Losses, at: Point, rng: np.random.Generator, models: int) -> Tensor:
        """tr(H^2) by finite differences; see `curvature.fd`."""
        return curvature.fd(losses, at, rng, models)


class ZerothOrder(Curvature, OfLosses):
    """Curvature of the loss in the input, from losses alone (Curvature Clues, 2024)."""

    logarithm: ClassVar[bool] = True
    kinks: ClassVar[bool] = True

    def of_losses(self, losses: Losses, at: Point, rng: np.random.Generator, models: int) -> Tensor:
        """The released black-box score; see `curvature.zo`."""
        return curvature.zo(losses, at, rng, models)


class ZerothOrderTrace(Curvature, OfLosses):
    """Trace of the loss's Hessian in the input, from losses alone."""

    kinks: ClassVar[bool] = True

    def of_losses(self, losses: Losses, at: Point, rng: np.random.Generator, models: int) -> Tensor:
        """tr(H) from losses alone; see `curvature.zo_trace`."""
        return curvature.zo_trace(losses, at, rng, models)
