"""Codes that send few bits of each coordinate."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulator.core.declaration import LARGEST, Declared


class Sign:
    """The mean magnitude with each coordinate's sign: C(v) = ||v||_1 / d sign(v), where sign(0) = 1."""

    def compress(self, vector: Tensor, random: np.random.Generator) -> Mapping[str, Tensor]:
        """Eight signs a byte, and the mean magnitude."""
        bits = np.packbits((vector >= 0).cpu().numpy())
        return {"choco.signs": torch.from_numpy(bits), "choco.scale": vector.abs().mean().reshape(1)}

    def parts(self, like: Tensor) -> Mapping[str, Declared]:
        """Bits, and a magnitude."""
        bits = Declared(torch.uint8, (ceil(len(like) / 8),))
        return {"choco.signs": bits, "choco.scale": Declared(like.dtype, (1,), least=0)}

    def objection(self, parts: Mapping[str, Tensor]) -> str | None:
        """Nothing: all bits are signs."""
        return None

    def restore(self, parts: Mapping[str, Tensor], like: Tensor) -> Tensor:
        """Plus or minus the mean magnitude."""
        bits = np.unpackbits(parts["choco.signs"].cpu().numpy(), count=len(like))
        return torch.from_numpy(bits).to(like).mul_(2).sub_(1).mul_(parts["choco.scale"])


class QSGD:
    """Random rounding to s = 2^(bits - 1) - 1 levels and a sign (Alistarh et al. 2017, arXiv:1610.02132).

    C(v) = sign(v) ||v||_2 / (s t) floor(s |v| / ||v||_2 + u) with u uniform in [0, 1). At t = 1 this would be right on
    average, but could lose more than v has; t = 1 + min(d / s^2, sqrt(d) / s) is the damping of Koloskova et al.
    It grows with sqrt(d), as ||v|| does: for a large model, few bits carry little at a time.
    """

    def __init__(self, bits: int) -> None:
        self._bits, self._levels = bits, 2 ** (bits - 1) - 1

    def compress(self, vector: Tensor, random: np.random.Generator) -> Mapping[str, Tensor]:
        """Codes of ``bits`` bits, the sign first, end to end; and what one level is worth."""
        norm, s, d = vector.norm(), self._levels, len(vector)
        # The smallest normal number only ever divides a vector of zeros.
        shares = vector.abs().mul(s / norm.clamp_min(torch.finfo(vector.dtype).tiny))
        levels = shares.add(torch.from_numpy(random.random(d)).to(vector.device)).floor().clamp(max=s).to(torch.uint8)
        codes = levels + (vector < 0).to(torch.uint8) * (s + 1)
        worth = norm / (s * (1 + min(d / s**2, sqrt(d) / s)))
        return {"choco.codes": torch.from_numpy(pack(codes.cpu().numpy(), self._bits)), "choco.scale": worth.reshape(1)}

    def parts(self, like: Tensor) -> Mapping[str, Declared]:
        """Codes end to end, and what a level is worth, which the largest one multiplies."""
        codes = Declared(torch.uint8, (ceil(len(like) * self._bits / 8),))
        return {"choco.codes": codes, "choco.scale": Declared(like.dtype, (1,), least=0, most=LARGEST / self._levels)}

    def objection(self, parts: Mapping[str, Tensor]) -> str | None:
        """Nothing: all codes are levels."""
        return None

    def restore(self, parts: Mapping[str, Tensor], like: Tensor) -> Tensor:
        """Signed levels times what one is worth."""
        codes = torch.from_numpy(unpack(parts["choco.codes"].cpu().numpy(), self._bits, len(like))).to(like.device)
        levels = (codes & self._levels).to(like.dtype)
        return torch.where(codes > self._levels, -levels, levels).mul_(parts["choco.scale"])


def pack(codes: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Codes below 2^bits, ``bits`` bits each, end to end."""
    return np.packbits(np.unpackbits(codes[:, None], axis=1)[:, 8 - bits :])


def unpack(packed: NDArray[np.uint8], bits: int, count: int) -> NDArray[np.uint8]:
    """The ``count`` codes that `pack` was given."""
    rows = np.unpackbits(packed, count=count * bits).reshape(count, bits)
    return np.packbits(np.pad(rows, ((0, 0), (8 - bits, 0))), axis=1)[:, 0]
