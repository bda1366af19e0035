"""Codes that send some of the coordinates."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

import numpy as np
import torch
from torch import Tensor

from simulator.core.declaration import Declared


class TopK:
    """The k coordinates of largest magnitude, the others 0."""

    def __init__(self, keep: float) -> None:
        self._keep = keep

    def compress(self, vector: Tensor, random: np.random.Generator) -> Mapping[str, Tensor]:
        """Indices, ascending, and values."""
        indices = vector.abs().topk(kept(self._keep, len(vector))).indices.sort().values
        return {"choco.indices": indices.to(torch.int32), "choco.values": vector[indices]}

    def parts(self, like: Tensor) -> Mapping[str, Declared]:
        """k places and k values."""
        size, k = len(like), kept(self._keep, len(like))
        indices = Declared(torch.int32, (k,), least=0, most=size - 1)
        return {"choco.indices": indices, "choco.values": Declared(like.dtype, (k,))}

    def objection(self, parts: Mapping[str, Tensor]) -> str | None:
        """That indices do not ascend, which is no code of this kind; None where they do."""
        return None if bool((parts["choco.indices"].diff() > 0).all()) else "names coordinates twice or out of order"

    def restore(self, parts: Mapping[str, Tensor], like: Tensor) -> Tensor:
        """Values in their places."""
        return torch.zeros_like(like).index_copy_(0, parts["choco.indices"].long(), parts["choco.values"])


class RandomK:
    """k random coordinates, not scaled up, the others 0; the receiver draws the same ones from the seed it is sent.

    So all nodes of a run must use a numpy with the same random streams.
    """

    def __init__(self, keep: float) -> None:
        self._keep = keep

    def compress(self, vector: Tensor, random: np.random.Generator) -> Mapping[str, Tensor]:
        """Seed and values."""
        seed = int(random.integers(2**63))
        return {"choco.seed": torch.tensor([seed]), "choco.values": vector[self._indices(seed, len(vector))]}

    def parts(self, like: Tensor) -> Mapping[str, Declared]:
        """A seed and k values."""
        values = Declared(like.dtype, (kept(self._keep, len(like)),))
        return {"choco.seed": Declared(torch.int64, (1,), least=0, most=inf), "choco.values": values}

    def objection(self, parts: Mapping[str, Tensor]) -> str | None:
        """Nothing: any seed draws k places."""
        return None

    def restore(self, parts: Mapping[str, Tensor], like: Tensor) -> Tensor:
        """Values in their places."""
        indices = self._indices(int(parts["choco.seed"].item()), len(like))
        return torch.zeros_like(like).index_copy_(0, indices.to(like.device), parts["choco.values"])

    def _indices(self, seed: int, size: int) -> Tensor:
        drawn = np.random.default_rng(seed).choice(size, kept(self._keep, size), replace=False, shuffle=False)
        return torch.from_numpy(drawn)


def kept(keep: float, size: int) -> int:
    """How many of ``size`` coordinates are sent."""
    return max(1, round(keep * size))
