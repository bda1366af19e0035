"""The likelihood-ratio attack (LiRA, Carlini et al. 2022, arXiv:2112.03570, algorithm 1), online and offline.

A candidate's signal is taken as Gaussian among models that trained on it, and among those that did not. The signal
meant for it is logit_margin; any other will do that is nearly Gaussian. Means are plain ones, as in the paper, where
the authors' code takes medians.
"""

from __future__ import annotations

from typing import ClassVar

from auditing.attacks.attack import Attack
from auditing.attacks.evidence import Evidence, Floats, References, Spread, log_density

ENOUGH = 64  # replicas, half of which trained on a candidate, that tell each candidate's own spread


def online(evidence: Evidence, spread: Spread | None = None) -> Floats:
    """log N(s; in) - log N(s; out), float64 [N]; ``spread`` is as in `References.sd`, by default by `ENOUGH`."""
    spread = spread or usual(evidence)
    return _log_density(evidence, evidence.inside, spread) - _log_density(evidence, evidence.outside, spread)


def offline(evidence: Evidence, spread: Spread | None = None) -> Floats:
    """(s - mean) / sd of the references that did not train on the candidate, float64 [N].

    The same order as the paper's 1 - Pr[Z > s] (eq. 4), without its rounding to 1. One-sided: what is unusually low is
    no member.
    """
    outside = evidence.outside
    return (evidence.signal - outside.mean) / outside.sd(spread or usual(evidence))


def usual(evidence: Evidence) -> Spread:
    """Each candidate's own spread where there are enough references, and else one for all (ibid., section VI-B)."""
    assert evidence.references is not None  # an attack that needs them is refused where there are none
    return "per_example" if len(evidence.references) >= ENOUGH else "fixed"


def _log_density(evidence: Evidence, references: References, spread: Spread) -> Floats:
    return log_density(evidence.signal, references.mean, references.sd(spread))


class Online(Attack):
    """Ratio of the signal's likelihoods in references that trained on the candidate and that did not (LiRA, online)."""

    replicas: ClassVar[int] = 2
    spread: ClassVar[Spread | None] = None

    def judge(self, evidence: Evidence) -> Floats:
        """The logarithm of that ratio; see `online`."""
        return online(evidence, self.spread)


class OnlinePerExample(Online):
    """Online LiRA with each candidate's own spread."""

    spread: ClassVar[Spread | None] = "per_example"
    variant: ClassVar[bool] = True


class OnlineGlobal(Online):
    """Online LiRA with the spread within candidates, the same for all."""

    spread: ClassVar[Spread | None] = "global"
    variant: ClassVar[bool] = True


class OnlineFixed(Online):
    """Online LiRA with the spread of all candidates together."""

    spread: ClassVar[Spread | None] = "fixed"
    variant: ClassVar[bool] = True


class Offline(Attack):
    """How unlikely the signal is in references that did not train on the candidate (LiRA, offline)."""

    replicas: ClassVar[int] = 2
    spread: ClassVar[Spread | None] = None

    def judge(self, evidence: Evidence) -> Floats:
        """How many standard deviations the signal lies above their mean; see `offline`."""
        return offline(evidence, self.spread)


class OfflinePerExample(Offline):
    """Offline LiRA with each candidate's own spread."""

    spread: ClassVar[Spread | None] = "per_example"
    variant: ClassVar[bool] = True


class OfflineGlobal(Offline):
    """Offline LiRA with the spread within candidates, the same for all."""

    spread: ClassVar[Spread | None] = "global"
    variant: ClassVar[bool] = True


class OfflineFixed(Offline):
    """Offline LiRA with the spread of all candidates together."""

    spread: ClassVar[Spread | None] = "fixed"
    variant: ClassVar[bool] = True
