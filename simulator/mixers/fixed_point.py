"""Models as whole numbers of 64 bits, whose sums are exact and do not depend on their order.

A number a is held as E(a) = round(2^44 a): to within 2.8e-14, far below the rounding of single precision.
"""

from __future__ import annotations

import torch
from torch import Tensor

SCALE = 2.0**44
LARGEST = 2.0**18  # of a parameter: weights that sum to 1 keep sums of such below 2^62, and half of all numbers free


def encoded(values: Tensor, weight: float) -> Tensor:
    """E(``weight`` times ``values``), int64.

    Raises:
        OverflowError: a value is not finite, or above `LARGEST` in magnitude.
    """
    least, most = values.aminmax()
    if not max(-least.item(), most.item()) <= LARGEST:  # nor if it is NaN
        raise OverflowError(f"values from {least.item():.3g} to {most.item():.3g}, and holds them up to {LARGEST:g}")
    return (values.to(torch.float64) * (weight * SCALE)).round_().to(torch.int64)


def decoded(total: Tensor) -> Tensor:
    """float64: the number whose E is ``total``, int64.

    Raises:
        OverflowError: no sum of encoded values with weights that sum to 1 is so large.
    """
    least, most = total.aminmax()
    if max(-least.item(), most.item()) > LARGEST * SCALE + 2.0**31:  # rounding of as many terms
        raise OverflowError(f"up to {total.abs().max().item() / SCALE:.3g}")
    return total.to(torch.float64) / SCALE
