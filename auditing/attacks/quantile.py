"""Quantile regression (Bertran et al. 2023, NeurIPS, "QMIA"): how high a signal may be for a sample that looks so.

One model is attacked, and no other is trained on anything private. What its signal is for non-members is learnt from
the population, in the authors' Gaussian form: a mean and a standard deviation that depend on the sample. They train a
network for that; here it is kernel ridge regression on public features and the class, whose leave-one-out errors are
exact, so that the spread is that of samples which the regression has not seen. The authors' signal is the hinge of
logits, z_y - max_k z_k; `logit_margin` is the nearest to it here.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import RidgeCV
from threadpoolctl import threadpool_limits

from auditing.attacks.attack import Attack
from auditing.attacks.evidence import Evidence, Floats

LANDMARKS = 300  # of the population, that samples are compared with
PENALTIES = np.logspace(-4, 3, 15)  # of which leave-one-out errors choose
LEAST = 1e-3  # of the mean error: what is fitted exactly is not certain


class Quantile(Attack):
    """How far the signal is above that of public samples that look alike, in their spread (QMIA, 2023)."""

    needs: ClassVar[frozenset[str]] = frozenset({"continuous_inputs"})
    population: ClassVar[bool] = True
    features: ClassVar[bool] = True
    variant: ClassVar[bool] = True

    def judge(self, evidence: Evidence) -> Floats:
        """(s - mean(x)) / sd(x), float64 [N]; a threshold on it is one on the quantile."""
        asked, usual = _described(evidence)
        with threadpool_limits(1, "blas"):  # so that the number of cores does not change results
            kernel = Nystroem(gamma=0.5, n_components=min(LANDMARKS, len(usual)), random_state=0).fit(usual)
            mean, sd = _regressed(kernel.transform(usual), evidence.population, kernel.transform(asked))
        return (evidence.signal - mean) / sd


def _described(evidence: Evidence) -> tuple[Floats, Floats]:
    """Features and class, as one of so many, of candidates and population."""
    assert evidence.features is not None  # handed to attacks that say they look at them
    assert evidence.population_features is not None
    classes = np.union1d(evidence.labels, evidence.population_labels)
    asked, usual = (_one_hot(labels, classes) for labels in (evidence.labels, evidence.population_labels))
    return np.hstack([evidence.features, asked]), np.hstack([evidence.population_features, usual])


def _one_hot(labels: NDArray[np.int64], classes: NDArray[np.int64]) -> Floats:
    return np.asarray(labels[:, None] == classes, np.float64)


def _regressed(usual: Floats, signal: Floats, asked: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of the signal at ``asked``, from ``signal`` at ``usual``.

    The logarithm of a Gaussian error lies .635 below that of its standard deviation on average.
    """
    mean = RidgeCV(PENALTIES, store_cv_results=True).fit(usual, signal)
    squares = mean.cv_results_[:, np.argmin(mean.cv_results_.mean(axis=0))]
    floor = LEAST * np.sqrt(squares.mean()) or 1.0
    spread = RidgeCV(PENALTIES).fit(usual, np.log(np.maximum(np.sqrt(squares), floor)))
    return mean.predict(asked), np.exp(spread.predict(asked) + 0.635)
