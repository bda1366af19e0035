"""Attacks that compare the signal with what models show that did not train on the sample: how hard it is."""

from __future__ import annotations

from typing import ClassVar

from auditing.attacks.attack import Attack
from auditing.attacks.evidence import Evidence, Floats

ALPHA = 1e-4  # false-positive rate that attack R's thresholds are set for: in effect, the highest of few references


class Calibrated(Attack):
    """The signal less what references show that did not train on the candidate (Watson et al. 2022)."""

    replicas: ClassVar[int] = 2

    def judge(self, evidence: Evidence) -> Floats:
        """The signal less its mean over those references, float64 [N]."""
        return evidence.signal - evidence.outside.mean


class AttackR(Attack):
    """A threshold for each candidate, from references that did not train on it (Ye et al. 2022, attack R)."""

    replicas: ClassVar[int] = 2

    def judge(self, evidence: Evidence) -> Floats:
        """The signal above a quantile of those references, float64 [N].

        The quantile is the one for a false-positive rate of `ALPHA`, as in the code of Curvature Clues, and what the
        signal exceeds it by decides: with few references, ranks among them could not resolve a low rate.
        """
        return evidence.signal - evidence.outside.quantile(1 - ALPHA)
