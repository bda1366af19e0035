"""Attacks that need no reference models: one threshold on the signal, or one a class."""

from __future__ import annotations

import numpy as np

from auditing.attacks.evidence import Evidence, Floats


def threshold(evidence: Evidence) -> Floats:
    """The signal itself: one threshold for all candidates (Yeom et al. 2018). float64 [N]."""
    return evidence.signal


def class_threshold(evidence: Evidence) -> Floats:
    """The signal above the median of its class in the population: a threshold a class (Song and Mittal 2021, sec. 3).

    They choose thresholds with shadow models; here, samples that nobody trained on say how hard a class is. A class
    that the population lacks gets the median of all of it. float64 [N].
    """
    usual = np.full(int(evidence.labels.max()) + 1, np.median(evidence.population))
    for label in np.intersect1d(evidence.labels, evidence.population_labels):
        usual[label] = np.median(evidence.population[evidence.population_labels == label])
    return evidence.signal - usual[evidence.labels]
