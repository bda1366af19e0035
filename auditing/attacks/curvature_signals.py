"""Signals of curvature, which `auditing.attacks.curvature` estimates: how the loss of a sample bends in its image."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from torch import Tensor

from auditing.attacks import curvature
from auditing.attacks.signal import Signal
from simulator.core.flat_module import FlatModule


class Curvature(Signal):
    """Base of the signals of curvature."""

    second_order: ClassVar[bool] = True


class Trace(Curvature):
    """Trace of the loss's Hessian in the image, exact where logits are piecewise linear."""

    logarithm: ClassVar[bool] = True

    def on_batch(self, network: FlatModule, images: Tensor, labels: Tensor, rng: np.random.Generator) -> Tensor:
        """tr(H) in closed form; see `curvature.trace`."""
        return curvature.trace(network, images, labels, rng)


class Frobenius(Curvature):
    """Frobenius norm of the loss's Hessian in the image, exact where logits are piecewise linear."""

    logarithm: ClassVar[bool] = True

    def on_batch(self, network: FlatModule, images: Tensor, labels: Tensor, rng: np.random.Generator) -> Tensor:
        """||H||_F in closed form; see `curvature.frobenius`."""
        return curvature.frobenius(network, images, labels, rng)


class Hvp(Curvature):
    """Trace of the loss's Hessian in the image, estimated by exact products, for any network."""

    def on_batch(self, network: FlatModule, images: Tensor, labels: Tensor, rng: np.random.Generator) -> Tensor:
        """tr(H) by Hutchinson's estimator; see `curvature.hvp`."""
        return curvature.hvp(network, images, labels, rng)


class FiniteDifference(Curvature):
    """Squared norm of the loss's Hessian in the image, by differences of gradients (Ravikumar et al. 2024)."""

    logarithm: ClassVar[bool] = True
    kinks: ClassVar[bool] = True

    def on_batch(self, network: FlatModule, images: Tensor, labels: Tensor, rng: np.random.Generator) -> Tensor:
        """tr(H^2) by finite differences; see `curvature.fd`."""
        return curvature.fd(network, images, labels, rng)


class ZerothOrder(Curvature):
    """Curvature of the loss in the image, from losses alone (Curvature Clues, 2024)."""

    logarithm: ClassVar[bool] = True
    kinks: ClassVar[bool] = True

    def on_batch(self, network: FlatModule, images: Tensor, labels: Tensor, rng: np.random.Generator) -> Tensor:
        """The released black-box score; see `curvature.zo`."""
        return curvature.zo(network, images, labels, rng)


class ZerothOrderTrace(Curvature):
    """Trace of the loss's Hessian in the image, from losses alone."""

    kinks: ClassVar[bool] = True

    def on_batch(self, network: FlatModule, images: Tensor, labels: Tensor, rng: np.random.Generator) -> Tensor:
        """tr(H) from losses alone; see `curvature.zo_trace`."""
        return curvature.zo_trace(network, images, labels, rng)
