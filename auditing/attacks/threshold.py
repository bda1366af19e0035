"""Attacks that need no reference models: one threshold on the signal, or one a class."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from auditing.attacks.attack import Attack
from auditing.attacks.evidence import Evidence, Floats


class Threshold(Attack):
    """One threshold on the signal for all candidates (Yeom et al. 2018)."""

    def judge(self, evidence: Evidence) -> Floats:
        """The signal itself, float64 [N]."""
        return evidence.signal


class ClassThreshold(Attack):
    """A threshold for each class (Song and Mittal 2021, sec. 3)."""

    needs: ClassVar[frozenset[str]] = frozenset({"classes"})
    population: ClassVar[bool] = True

    def judge(self, evidence: Evidence) -> Floats:
        """The signal above the median of its class in the population, float64 [N].

        They choose thresholds with shadow models; here, samples that nobody trained on say how hard a class is. A class
        that the population lacks gets the median of all of it.
        """
        usual = np.full(int(evidence.labels.max()) + 1, np.median(evidence.population))
        for label in np.intersect1d(evidence.labels, evidence.population_labels):
            usual[label] = np.median(evidence.population[evidence.population_labels == label])
        return evidence.signal - usual[evidence.labels]
