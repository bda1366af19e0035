"""What all victims together show: shares with intervals, against chance and against the wrong update, in words."""

from __future__ import annotations

from collections import Counter
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
    touched = [job["skill"] for job in jobs if job["identified"]]
    drawn = rng.integers(len(jobs), size=(RESAMPLES, len(jobs)))
    shares = identified[drawn].sum(1) / samples[drawn].sum(1)
    return {
        "victims": len(jobs),
        "samples": total,
        "identified": int(identified.sum()),
        "share": float(identified.sum() / total),
        "interval": [float(np.quantile(shares, end)) for end in (LEVEL / 2, 1 - LEVEL / 2)] if len(jobs) > 1 else None,
        "verbatim": int(sum(job["verbatim"] for job in jobs)),
        "beyond_doubt": int(sum(job["beyond_doubt"] for job in jobs)),
        "certified": int(sum(job["certified"] for job in jobs)),
        "wrong": wrong,
        "p": float(binomtest(int(identified.sum()), total, min(chance, 1.0), alternative="greater").pvalue),
        "skill_identified": _middle(touched),
        "limit": _commonest([job["limit"] for job in jobs]),
        **{name: _middle([job[name] for job in jobs]) for name in ("skill", "psnr", "ssim", "close", "close_public")},
    }


def _commonest(limits: Sequence[str]) -> str:
    """The limit that most victims' attacks had, of those that had one; "" where none had."""
    counted = Counter(filter(None, limits)).most_common(1)
    return counted[0][0] if counted else ""


def _middle(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def succeeded(found: Mapping[str, Any], tests: int = 1) -> bool:
    """Whether samples were recovered: one is enough that is verbatim, else more than chance must be identified.

    Skill is asked of the victims of whom samples were identified: that others lost none is no comfort to these.

    Args:
        found: see `together`.
        tests: how many such figures are looked at, for the best of them to be told.
    """
    better = found["skill_identified"] is not None and found["skill_identified"] > 0
    by_chance = found["p"] * tests >= LEVEL
    return bool(found["beyond_doubt"] or (found["identified"] and better and not by_chance))


def in_words(found: Mapping[str, Any], tests: int = 1) -> str:
    """The verdict on what an attack made of updates; ``tests`` as for `succeeded`.

    A no that is the attack's own, which did not or could not look for all there is, says so.
    """
    if not succeeded(found, tests):
        return f"not inverted: {found['limit']}" if found["limit"] else "not inverted"
    if found["verbatim"] == found["samples"]:
        return "verbatim"
    return f"{found['identified']} of {found['samples']} samples identified"
