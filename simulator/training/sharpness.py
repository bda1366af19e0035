"""Gradients of sharpness-aware minimisation (SAM; Foret et al. 2021, arXiv:2010.01412, equations 2 and 3)."""

from __future__ import annotations

from torch import Tensor

from simulator.core.node import Node
from simulator.core.samples import Batch

TINY = 1e-12  # beside a norm that may be 0, as in the released code of SAM


def sharp_gradient(node: Node, parameters: Tensor, batch: Batch, rho: float, first: Tensor | None = None) -> Tensor:
    """float [parameters]: the gradient of the mean loss of ``batch`` where it is larger by about rho times its slope.

    It is g(x + rho g(x) / |g(x)|), without weight decay; with ``rho`` 0, g(x).

    Args:
        node: whose task and running statistics these are; the latter do not move.
        parameters: x, float [parameters].
        batch: the samples of g.
        rho: how far to go, in the norm of all parameters.
        first: g(x), if it is known.
    """
    slope = node.gradient_at(parameters, batch) if first is None else first
    if not rho:
        return slope
    return node.gradient_at(parameters + slope * (rho / (slope.norm() + TINY)), batch)
