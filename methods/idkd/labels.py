"""Soft labels of public samples."""

from __future__ import annotations

from torch import Tensor


def soft_labels(logits: Tensor, temperature: float) -> Tensor:
    """float64 [N, classes]: softmax(logits / temperature); double precision, since confidences crowd just below 1."""
    return (logits.double() / temperature).softmax(dim=1)
