"""Sequences of tokens, padded to one length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from simulator.core.arrays import Arrays
from simulator.core.errors import wrong
from simulator.core.preparation import Preparation
from simulator.core.specification import InputSpec
from simulator.data.kinds.kind import InputKind, StoredArrays
from simulator.data.kinds.plain import refuse_objects

IDS, LENGTHS = "ids", "lengths"


@dataclass(frozen=True)
class Tokens(InputKind):
    """Two arrays: "ids", uint16, int32 or int64 [N, T], and "lengths", int32 [N], how many of the T are no padding.

    Attributes:
        vocabulary: how many different tokens there are, padding among them.
    """

    vocabulary: int

    def check(self, name: str, inputs: StoredArrays) -> None:
        """Types and shapes, that lengths fit, and that all tokens are in the vocabulary."""
        if isinstance(inputs, np.ndarray) or set(inputs) != {IDS, LENGTHS}:
            raise wrong("", f"{name} holds no tokens.", f"Tokens are the two arrays '{IDS}' and '{LENGTHS}'.")
        ids, lengths = inputs[IDS], inputs[LENGTHS]
        refuse_objects(f"{name}['{IDS}']", ids)
        if ids.dtype.name not in ("uint16", "int32", "int64") or ids.ndim != 2 or ids.size == 0:
            what = f"{name}['{IDS}'] is {ids.dtype} of shape {ids.shape}."
            raise wrong("", what, "Give uint16, int32 or int64 of shape [samples, tokens], padded to one length.")
        if lengths.dtype != np.int32 or lengths.shape != ids.shape[:1]:
            what = f"{name}['{LENGTHS}'] is {lengths.dtype} of shape {lengths.shape}, for {len(ids)} samples."
            raise wrong("", what, "Give one int32 a sample.")
        if lengths.min() < 1 or lengths.max() > ids.shape[1]:
            what = f"{name} has lengths from {lengths.min()} to {lengths.max()}, of {ids.shape[1]} tokens."
            raise wrong("", what, "Leave empty samples out, and count the tokens that are no padding.")
        outside = int(((ids < 0) | (ids >= self.vocabulary)).sum())
        if outside:
            worst = ids.max() if ids.max() >= self.vocabulary else ids.min()
            what = f"{name} holds {outside:,} tokens outside of the vocabulary of {self.vocabulary:,}, such as {worst}."
            raise wrong("", what, f"Tokens, padding too, are numbered from 0 to {self.vocabulary - 1:,}.")

    def preparation(self, inputs: StoredArrays, rows: NDArray[np.int64]) -> Preparation:
        """A mask beside the tokens."""
        return TokenPreparation()

    def specification(self, inputs: StoredArrays) -> InputSpec:
        """How many tokens there are, in a sample and in the vocabulary."""
        assert isinstance(inputs, Mapping)  # it was checked
        return InputSpec("tokens", inputs[IDS].shape[1:], vocabulary=self.vocabulary)


@dataclass(frozen=True, eq=False)
class TokenPreparation(Preparation):
    """Two arrays: "ids", int64 [B, T], and "mask", bool [B, T]: True for tokens, and False for padding."""

    def __call__(self, stored: Arrays, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
        """Tokens and mask; nothing here is of ``dtype``."""
        assert isinstance(stored, Mapping)
        ids = stored[IDS].to(torch.int64, copy=True)
        places = torch.arange(ids.shape[-1], device=ids.device)
        return {"ids": ids, "mask": places < stored[LENGTHS][..., None]}
