"""The robust membership-inference attack (RMIA, Zarifzadeh et al. 2024, arXiv:2312.03262): pairwise ratios."""

from __future__ import annotations

import numpy as np

from auditing.attacks.evidence import Evidence, Floats, References

GAMMA = 1.0  # a candidate dominates a population sample from this ratio on
OFFLINE_A = 0.3  # how models that train on a sample raise its probability: p_in = a p_out + 1 - a


def offline(evidence: Evidence) -> Floats:
    """Share of the population that the candidate dominates, float64 [N], within [0, 1].

    Signals are logarithms of the true label's probability. With p the probability in the attacked model, the candidate
    x dominates z if [p(x) / pr(x)] / [p(z) / pr(z)] > `GAMMA`, where pr, the probability in a model drawn at random, is
    ((1 + a) p_out + 1 - a) / 2 with p_out the mean over references that did not train on the sample and a = `OFFLINE_A`
    (sec. 3.3). For the population those are all.
    """
    return _dominated(evidence, _drawn(_mean(evidence.outside)))


def online(evidence: Evidence) -> Floats:
    """As `offline`, with pr(x) the mean of p_in and p_out. No replica trains on the population: its pr is as there."""
    return _dominated(evidence, (_mean(evidence.inside) + _mean(evidence.outside)) / 2)


def _mean(references: References) -> Floats:
    """Mean probability in the references, float64 [N]."""
    return References(np.exp(references.values), references.chosen).mean


def _drawn(outside: Floats) -> Floats:
    return ((1 + OFFLINE_A) * outside + 1 - OFFLINE_A) / 2


def _dominated(evidence: Evidence, drawn: Floats) -> Floats:
    assert evidence.population_references is not None  # provided to attacks that judge probabilities
    usual = _drawn(np.exp(evidence.population_references).mean(axis=0))
    ratios, others = np.exp(evidence.signal) / drawn, np.sort(np.exp(evidence.population) / usual)
    return np.searchsorted(others, ratios / GAMMA) / len(others)
