"""What all victims together show: shares with intervals, against chance and against the wrong update, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import binomtest

Job = Mapping[str, Any]
RESAMPLES, LEVEL = 1000, 0.05


def together(jobs: Sequence[Job], rng: np.random.Generator) -> dict[str, Any]:
    """Figures over ``jobs``, a victim's round each, by one attack.

    The interval of the share identified is a bootstrap over victims; ``p`` is the chance that as many would be
    identified by the attack on another node's update, or by guessing in the pool.
    """
    identified, samples = (np.array([job[name] for job in jobs]) for name in ("identified", "samples"))
    total = int(samples.sum())
    wrong = sum(job["wrong"]["identified"] for job in jobs if job["wrong"]) / max(
        1, sum(job["wrong"]["samples"] for job in jobs if job["wrong"])
    )
    chance = max(wrong, float(np.mean([1 / job["pool"] for job in jobs])))
    drawn = rng.integers(len(jobs), size=(RESAMPLES, len(jobs)))
    shares = identified[drawn].sum(1) / samples[drawn].sum(1)
    return {
        "victims": len(jobs),
        "samples": total,
        "identified": int(identified.sum()),
        "share": float(identified.sum() / total),
        "interval": [float(np.quantile(shares, end)) for end in (LEVEL / 2, 1 - LEVEL / 2)] if len(jobs) > 1 else None,
        "verbatim": int(sum(job["verbatim"] for job in jobs)),
        "certified": int(sum(job["certified"] for job in jobs)),
        "wrong": wrong,
        "p": float(binomtest(int(identified.sum()), total, min(chance, 1.0), alternative="greater").pvalue),
        **{name: _middle([job[name] for job in jobs]) for name in ("skill", "psnr", "ssim", "close", "close_public")},
    }


def _middle(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def succeeded(found: Mapping[str, Any]) -> bool:
    """Whether samples were recovered: some verbatim and certified, or identified by more than chance."""
    better = found["skill"] is not None and found["skill"] > 0
    return bool(min(found["verbatim"], found["certified"]) or (found["identified"] and better and found["p"] < LEVEL))


def in_words(found: Mapping[str, Any]) -> str:
    """The verdict on what an attack made of updates."""
    if not succeeded(found):
        return "not inverted"
    if found["verbatim"] == found["samples"]:
        return "verbatim"
    return f"{found['identified']} of {found['samples']} samples identified"
