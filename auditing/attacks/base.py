"""BASE (Lassila et al. 2025, NeurIPS): the logarithm of p / pr itself.

RMIA's score is the share of a population whose ratio a candidate's exceeds, so an increasing function of this one
number: a sample of the population more or less decides nothing, and there are no ties.
"""

from __future__ import annotations

from typing import ClassVar

from auditing.attacks.attack import Attack
from auditing.attacks.evidence import Evidence, Floats
from auditing.attacks.probability_ratio import both_sides, log_mean

OFFLINE = 0.33  # the authors' share of the difficulty that is taken off where no reference trained on a candidate


class Base(Attack):
    """The signal less a third of the log mean probability in networks that did not see the sample (BASE, 2025)."""

    replicas: ClassVar[int] = 2
    probability: ClassVar[bool] = True
    variant: ClassVar[bool] = True

    def judge(self, evidence: Evidence) -> Floats:
        """log p - `OFFLINE` log p_out, float64 [N]."""
        outside = evidence.outside
        return evidence.signal - OFFLINE * log_mean(outside.values, outside.chosen)


class BaseOnline(Base):
    """BASE with references that trained on the candidate as well: the logarithm of p / pr."""

    def judge(self, evidence: Evidence) -> Floats:
        """log p - log pr, float64 [N], with pr as `both_sides` says."""
        inside = evidence.inside
        return evidence.signal - both_sides(inside.values, inside.chosen)
