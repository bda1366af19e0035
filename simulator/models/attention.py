"""Which tokens may look at which, and what padding has no part in."""

from __future__ import annotations

import torch
from torch import Tensor


def attention_bias(mask: Tensor, causal: bool, dtype: torch.dtype) -> Tensor:
    """``dtype`` [B, 1, T, T], what is added to attention scores: 0 where a token (row) may see another, else -huge.

    Args:
        mask: bool [B, T], False for padding, which nobody sees.
        causal: whether a token sees none that comes after it.
        dtype: of the scores.
    """
    seen = mask[:, None, None, :].expand(-1, 1, mask.shape[1], -1)
    if causal:
        seen = seen & torch.ones(mask.shape[1], mask.shape[1], dtype=torch.bool, device=mask.device).tril()
    return torch.zeros(seen.shape, dtype=dtype, device=mask.device).masked_fill(~seen, torch.finfo(dtype).min)


def mean_over_tokens(states: Tensor, mask: Tensor) -> Tensor:
    """float [B, width]: the mean of ``states`` [B, T, width] over what is no padding."""
    own = mask[:, :, None].to(states.dtype)
    return (states * own).sum(dim=1) / own.sum(dim=1).clamp(min=1)
