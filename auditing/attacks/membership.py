"""Attacks: from a signal of a sample to how sure the attacker is that it was trained on, whatever the signal is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Evidence:
    """What an attacker has against one model; signals are high for members.

    Attributes:
        signal: float64 [N], of the candidates.
        labels: int64 [N], their classes.
        population: float64 [P], the signal in the same model of samples that nobody trained on.
        population_labels: int64 [P], their classes.
    """

    signal: Floats
    labels: NDArray[np.int64]
    population: Floats
    population_labels: NDArray[np.int64]


Attack = Callable[[Evidence], Floats]


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


ATTACKS: Mapping[str, Attack] = {"threshold": threshold, "class_threshold": class_threshold}
