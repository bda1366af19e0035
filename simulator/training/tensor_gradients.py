"""Gradients of one parameter tensor, sample by sample, of which norms and weighted sums are known.

Those of a product with a matrix need not be written out: of both, its factors tell all there is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor
from torch.linalg import vector_norm


class TensorGradients(ABC):
    """Of one parameter tensor, in S samples."""

    @abstractmethod
    def norms(self) -> Tensor:
        """The norm of each sample's gradient, float [S]."""

    @abstractmethod
    def sum(self, at: slice, weights: Tensor, out: Tensor) -> None:
        """Write into ``out``, in the tensor's shape, the sum of those ``at`` a place by ``weights``, float [B]."""


class Written(TensorGradients):
    """Written out, sample by sample.

    Args:
        rows: float [S, ...], in the tensor's shape.
    """

    def __init__(self, rows: Tensor) -> None:
        self._rows = rows

    def norms(self) -> Tensor:
        """They are those of the rows."""
        found: Tensor = vector_norm(self._rows.flatten(1), dim=1)
        return found

    def sum(self, at: slice, weights: Tensor, out: Tensor) -> None:
        """The weights are multiplied with the rows."""
        out.copy_((weights @ self._rows[at].flatten(1)).view(out.shape))


class OneProduct(TensorGradients):
    """Of W in W x, where a sample has one x.

    Its gradient is the outer product of two vectors (Goodfellow 2015, arXiv:1510.01799).

    Args:
        inputs: float [S, in], x.
        outputs: float [S, out], the gradient of W x.
    """

    def __init__(self, inputs: Tensor, outputs: Tensor) -> None:
        self._inputs, self._outputs = inputs, outputs

    def norms(self) -> Tensor:
        """The norm of an outer product is the product of norms."""
        found: Tensor = vector_norm(self._inputs, dim=1) * vector_norm(self._outputs, dim=1)
        return found

    def sum(self, at: slice, weights: Tensor, out: Tensor) -> None:
        """One product of matrices sums over samples."""
        torch.mm((self._outputs[at] * weights[:, None]).mT, self._inputs[at], out=out)


class ManyProducts(TensorGradients):
    """Of W in W x, where a sample has T of them (Li et al. 2021, arXiv:2110.05679, section 4).

    The squared norm of sum_t o_t x_t^T is sum_tu (x_t . x_u) (o_t . o_u). That is computed in float64: where terms
    cancel, float32 would leave nothing of a small norm, and what is clipped by it would not be clipped.

    Args:
        inputs: float [S, T, in], x.
        outputs: float [S, T, out], the gradient of W x.
    """

    def __init__(self, inputs: Tensor, outputs: Tensor) -> None:
        self._inputs, self._outputs = inputs, outputs

    def norms(self) -> Tensor:
        """They follow from two matrices of inner products, [T, T] a sample."""
        return _root_of_sum(_inner_products(self._inputs) * _inner_products(self._outputs)).to(self._outputs.dtype)

    def sum(self, at: slice, weights: Tensor, out: Tensor) -> None:
        """One product of matrices sums over samples and their T places."""
        weighted = self._outputs[at] * weights[:, None, None]
        torch.mm(weighted.flatten(0, 1).mT, self._inputs[at].flatten(0, 1), out=out)


class ManyRows(TensorGradients):
    """Of a table's rows, of which a sample takes T.

    Args:
        ids: int64 [S, T], which ones.
        outputs: float [S, T, width], the gradient of what was taken.
    """

    def __init__(self, ids: Tensor, outputs: Tensor) -> None:
        self._ids, self._outputs = ids, outputs

    def norms(self) -> Tensor:
        """As of `ManyProducts`, with inner products of unit vectors: 1 of equal ids, 0 of others."""
        equal = self._ids[:, :, None] == self._ids[:, None, :]
        return _root_of_sum(_inner_products(self._outputs) * equal).to(self._outputs.dtype)

    def sum(self, at: slice, weights: Tensor, out: Tensor) -> None:
        """Each row of the table gets what was taken from it."""
        weighted = self._outputs[at] * weights[:, None, None]
        out.zero_().index_add_(0, self._ids[at].flatten(), weighted.flatten(0, 1))


def _inner_products(rows: Tensor) -> Tensor:
    """float64 [S, T, T] of float [S, T, d]."""
    wide = rows.double()
    return wide @ wide.mT


def _root_of_sum(squares: Tensor) -> Tensor:
    """float [S] of float [S, T, T], whose sums are below 0 by rounding alone."""
    return squares.sum(dim=(1, 2)).clamp(min=0).sqrt()


def product(inputs: Tensor, outputs: Tensor) -> TensorGradients:
    """Of W in W x with x float [S, T, in], in whichever way costs less."""
    if inputs.shape[1] == 1:
        return OneProduct(inputs[:, 0], outputs[:, 0])
    if is_better_written(inputs.shape[1], inputs.shape[2], outputs.shape[2]):
        return Written(written(inputs, outputs))
    return ManyProducts(inputs, outputs)


def is_better_written(times: int, width: int, height: int) -> bool:
    """By the costs of Bu et al. 2022 (arXiv:2205.10683, section 3), inner products counting twice: they are float64."""
    return times > 1 and width * height <= 2 * times * (width + height)


def written(inputs: Tensor, outputs: Tensor) -> Tensor:
    """float [..., out, in] of [..., T, in] and [..., T, out]; products with few rows, and long ones, are faster."""
    is_low = outputs.shape[-1] <= inputs.shape[-1]
    return outputs.mT @ inputs if is_low else (inputs.mT @ outputs).mT


class Arranged(TensorGradients):
    """Others, whose numbers are in another order.

    Args:
        of: the others.
        shape: of their tensor.
        arrange: gives it the parameter's shape.
    """

    def __init__(self, of: TensorGradients, shape: tuple[int, ...], arrange: Callable[[Tensor], Tensor]) -> None:
        self._of, self._shape, self._arrange = of, shape, arrange

    def norms(self) -> Tensor:
        """They are those of the others: order is no matter."""
        return self._of.norms()

    def sum(self, at: slice, weights: Tensor, out: Tensor) -> None:
        """It is that of the others, arranged."""
        total = out.new_empty(self._shape)
        self._of.sum(at, weights, total)
        out.copy_(self._arrange(total))
