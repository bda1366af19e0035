"""Coresets: which of a node's training samples are kept, by scores that say how much each is worth."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from simulator.core.acting import Acts, If, Unless
from simulator.core.registry import Settings

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
CCS = "ccs"
STRATA = 50  # as in the released code of CCS
MARGINS = {"probability": "probability_margin", "logit": "aum"}  # by which score `stratified` tells hard samples


class CoresetChoice(Settings):
    """How a coreset is chosen.

    Attributes:
        score: the score to go by; ``ccs``: none of them alone, but coverage-centric selection (`stratified`).
        share: of each class, or of all samples under ``ccs``.
        per_class: budgets of the classes: ``proportional`` to their sizes, so the coreset is skewed as the samples are,
            or ``equal``, where a class too small for its part leaves the rest to larger ones.
        prefer: samples of ``high`` scores, of ``low`` ones, or those nearest to ``zero``.
        hardest: the share of samples that ``ccs`` leaves out for being too hard, likely mislabelled.
        margin: what ``ccs`` calls hard: a small margin of the label's ``probability`` over the others', as in its
            released code, or of its ``logit``, as in the area under the margin that its paper names.
    """

    acts: ClassVar[Acts] = {
        **dict.fromkeys(("per_class", "prefer"), Unless(score=CCS)),  # it covers all scores whatever their class
        **dict.fromkeys(("hardest", "margin"), If(score=CCS)),
    }

    score: str
    share: float = Field(0.3, gt=0, le=1)
    per_class: Literal["proportional", "equal"] = "proportional"
    prefer: Literal["high", "zero", "low"] = "high"
    hardest: float = Field(0.0, ge=0, lt=1)
    margin: Literal["probability", "logit"] = "probability"

    @property
    def leading(self) -> str:
        """The name of the score that decides."""
        return MARGINS[self.margin] if self.score == CCS else self.score


def coreset(scores: Mapping[str, Floats], labels: Ints, choice: CoresetChoice) -> Ints:
    """int64 [K], ascending: the places of the samples to keep.

    A sample without a score (NaN) is always kept, and no part of the budget; of equals the earlier is taken.

    Args:
        scores: float64 [N] each, by name; for ``ccs`` that of `MARGINS`, high for hard samples, and "random".
        labels: int64 [N].
        choice: how to choose.
    """
    leading = scores[choice.leading]
    unscored, known = np.flatnonzero(np.isnan(leading)), np.flatnonzero(~np.isnan(leading))
    if choice.score == CCS:
        taken = stratified(leading[known], scores["random"][known], choice.share, choice.hardest)
    else:
        taken = best(_preference(leading[known], choice.prefer), labels[known], choice)
    return np.sort(np.concatenate([unscored, known[taken]]))


def best(worth: Floats, labels: Ints, choice: CoresetChoice) -> Ints:
    """int64 [K]: of each class as many as its budget says, those of greatest ``worth`` (float64 [N])."""
    order = np.argsort(-worth, kind="stable")
    classes, sizes = np.unique(labels, return_counts=True)
    budgets = {"proportional": proportional, "equal": equal}[choice.per_class](sizes, choice.share)
    taken = (order[labels[order] == c][:budget] for c, budget in zip(classes, budgets, strict=True))
    return np.concatenate([*taken, np.empty(0, np.int64)])


def stratified(hardness: Floats, random: Floats, share: float, hardest: float) -> Ints:
    """int64 [K]: coverage-centric selection, CCS (Zheng et al. 2023, arXiv:2210.15809), of N samples.

    The hardest are left out. The others' range of ``hardness`` (float64 [N]) is cut into strata of equal width, which
    give equally many samples each, drawn by their ``random`` numbers (float64 [N]). Labels play no part.
    """
    easy = np.argsort(hardness, kind="stable")[: len(hardness) - int(hardest * len(hardness))]
    if not len(easy):
        return easy
    edges = np.linspace(hardness[easy[0]], hardness[easy[-1]], STRATA + 1)[1:-1]
    stratum = np.searchsorted(edges, hardness[easy], side="right")
    strata, sizes = np.unique(stratum, return_counts=True)
    budgets = even(sizes, min(len(easy), part(len(hardness), share)))
    turn = easy[np.argsort(random[easy], kind="stable")]
    of = np.searchsorted(edges, hardness[turn], side="right")
    return np.concatenate([turn[of == each][:budget] for each, budget in zip(strata, budgets, strict=True)])


def proportional(sizes: Ints, share: float) -> Ints:
    """int64 [C]: of groups of these sizes (int64 [C]) the ``share`` of each, rounded up."""
    return np.array([part(int(size), share) for size in sizes], dtype=np.int64)


def equal(sizes: Ints, share: float) -> Ints:
    """int64 [C]: the ``share`` of all together, rounded up, from each group as much as from any other."""
    return even(sizes, part(int(sizes.sum()), share))


def even(sizes: Ints, total: int) -> Ints:
    """int64 [C], summing to ``total``: as much from each group as it has or all others give, smallest groups first."""
    budgets, left = np.zeros_like(sizes), total
    for rank, place in enumerate(np.argsort(sizes, kind="stable")):
        budgets[place] = min(sizes[place], left // (len(sizes) - rank))
        left -= budgets[place]
    return budgets


def part(size: int, share: float) -> int:
    """The ``share`` of ``size``, rounded up; 0.07 of 100 is 7, although it is a little more in floats."""
    return ceil(round(share * size, 9))


def _preference(score: Floats, prefer: str) -> Floats:
    return {"high": score, "low": -score, "zero": -np.abs(score)}[prefer]
