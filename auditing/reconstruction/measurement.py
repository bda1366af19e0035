"""What was recovered of a victim's round, beside what an attacker would have had without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from auditing.reconstruction.identification import Floats, matched, median, nearest, psnr, ranks, ssim, verbatim
from auditing.reconstruction.table_form import RIGHT, TableForm

CLOSE_PIXEL = 0.1  # error of a pixel on [0, 1] that counts as right


@dataclass(frozen=True)
class Truth:
    """What a victim trained on in a round, and what it is hidden among; float64 [..., values], as compared.

    Attributes:
        true: the samples of the round's batches, each once.
        pool: the victim's training set, and as many samples of others.
        rows: int64, where each true one stands in the pool.
        public: what an attacker has anyway.
        images: whether they are images on [0, 1], [..., channels, height, width].
        form: of rows of a table.
    """

    true: Floats
    pool: Floats
    rows: NDArray[np.int64]
    public: Floats
    images: bool
    form: TableForm | None = None

    def measured(self, found: Floats) -> Mapping[str, Any]:
        """How good the reconstructions ``found`` are; a figure a matched sample, in lists.

        Identified is a sample whose reconstruction is nearer to it than to any other of the pool, and nearer than
        anything that the attacker had. What the attacker had to the last digit is not counted as verbatim either.
        """
        if len(found) == 0 or len(self.true) == 0:
            return {"errors": [], "public": [], "mean": [], "identified": [], "verbatim": [], "psnr": [], "ssim": [],
                    "close": [], "close_public": [], "true": [], "found": []}  # fmt: skip
        match = matched(found, self.true)
        true, mine = self.true[match.true], found[match.found]
        prior = ((nearest(true, self.public) - true) ** 2).reshape(len(true), -1).mean(1)
        middle = ((self.public.mean(0) - true) ** 2).reshape(len(true), -1).mean(1)
        first = ranks(found, match, self.pool, self.rows) == 1
        return {
            "errors": match.errors.tolist(),
            "public": prior.tolist(),
            "mean": middle.tolist(),
            "identified": (first & (match.errors < prior)).tolist(),
            "verbatim": (verbatim(mine, true) & (match.errors < prior)).tolist(),
            "psnr": psnr(match.errors).tolist(),
            "ssim": [ssim(*pair) for pair in zip(mine, true, strict=True)] if self.images else [],
            "close": self._right(mine, true),
            "close_public": self._right(nearest(true, self.public), true),
            "true": match.true.tolist(),
            "found": match.found.tolist(),
        }

    def _right(self, found: Floats, true: Floats) -> list[float]:
        """The share of right values of each sample: pixels, columns of a table, or values of other inputs."""
        if self.form is not None:
            near = self.form.right(torch.from_numpy(found), torch.from_numpy(true)).double().numpy()
        else:
            near = (np.abs(found - true) < (CLOSE_PIXEL if self.images else RIGHT)).astype(np.float64)
        shares: list[float] = near.reshape(len(true), -1).mean(1).tolist()
        return shares


def figures(measured: Mapping[str, Any], samples: int) -> dict[str, Any]:
    """The figures of a victim's round: counts, medians, and skill over the best that the attacker had."""
    errors, prior = np.array(measured["errors"]), np.array(measured["public"])
    return {
        "samples": samples,
        "recovered": len(errors),
        "identified": int(np.sum(measured["identified"])),
        "verbatim": int(np.sum(measured["verbatim"])),
        "beyond_doubt": int(np.sum(np.logical_and(measured["verbatim"], measured["identified"]))),
        "skill": float(1 - errors.mean() / prior.mean()) if len(errors) and prior.mean() > 0 else None,
        "psnr": median(measured["psnr"]),
        "ssim": median(measured["ssim"]),
        "close": median(measured["close"]),
        "close_public": median(measured["close_public"]),
    }
