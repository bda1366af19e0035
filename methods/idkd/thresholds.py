"""Thresholds on a detector's scores; a sample passes if its score is above."""

from __future__ import annotations

from math import ceil
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from methods.idkd.settings import IDKDSettings

Scores = NDArray[Any]
ROC_POINTS = 101


class Calibration(NamedTuple):
    """Scores to calibrate on.

    Attributes:
        private: float [V], of all of the node's validation samples.
        inside: float [N], of as many of them as can be set against public samples.
        outside: float [N], of public samples, taken to be out of distribution; as many as ``inside``.
    """

    private: Scores
    inside: Scores
    outside: Scores

    @classmethod
    def draw(cls, private: Scores, public: Scores, rng: np.random.Generator) -> Calibration:
        """All ``private`` scores; a random part of the larger set, so that both weigh the same."""
        size = min(len(private), len(public))
        inside, outside = (rng.choice(scores, size, replace=False) for scores in (private, public))
        return cls(private, inside, outside)


def choose(settings: IDKDSettings, calibration: Calibration | None) -> float:
    """The threshold that ``settings`` ask for; ``calibration`` may be missing where they do not need it."""
    if settings.threshold == "none":
        return -np.inf
    if not isinstance(settings.threshold, str):
        return settings.threshold
    assert calibration is not None  # checked before the run: these rules need validation data
    if settings.threshold == "tpr":
        return tpr_threshold(calibration.private, settings.tpr)
    return youden_threshold(calibration.inside, calibration.outside)


def youden_threshold(inside: Scores, outside: Scores) -> float:
    """The t that maximises P(inside > t) - P(outside > t), Youden's J; infinite where no t does better than none.

    Args:
        inside: float [N], scores of samples known to be in distribution.
        outside: float [M], scores of samples taken to be out of distribution.
    """
    from sklearn.metrics import roc_curve  # takes a second to import, and the first exchange is late in a run

    truth = np.repeat([1, 0], [len(inside), len(outside)])
    false_rate, true_rate, thresholds = roc_curve(truth, np.concatenate([inside, outside]), drop_intermediate=False)
    best = thresholds[np.argmax(true_rate - false_rate)]
    return _just_below(best) if np.isfinite(best) else float("inf")  # roc_curve has >=, we have >


def tpr_threshold(inside: Scores, rate: float) -> float:
    """The largest t that at least the share ``rate`` (0 < rate <= 1) of ``inside``, float [N], is above."""
    kept = ceil(rate * len(inside) - 1e-9)  # 0.07 * 100 > 7 in floats
    return _just_below(np.sort(inside)[len(inside) - kept])


def roc(calibration: Calibration) -> tuple[float, Scores, Scores]:
    """Area under the curve, and the curve itself: false and true positive rates, float [R], R <= `ROC_POINTS`."""
    from sklearn.metrics import roc_auc_score, roc_curve

    truth = np.repeat([1, 0], [len(calibration.inside), len(calibration.outside)])
    scores = np.concatenate([calibration.inside, calibration.outside])
    false_rate, true_rate, _ = roc_curve(truth, scores)
    kept = np.linspace(0, len(false_rate) - 1, min(len(false_rate), ROC_POINTS)).round().astype(np.int64)
    return float(roc_auc_score(truth, scores)), false_rate[kept], true_rate[kept]


def _just_below(score: float) -> float:
    return float(np.nextafter(score, -np.inf))
