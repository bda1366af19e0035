"""What a score of memorization is: one number for each training sample, from the models of the node that trains on it.

All scores are high for samples with which others help little: a model learns them by heart, or not at all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from auditing.order import in_order
from simulator.core.errors import Problem
from simulator.core.registry import Part, PartSettings, Registry, Settings
from simulator.runs.run import Run

Floats = NDArray[np.float64]
# In this order they are worked out and stand in results, the long work last; those of other packages come after.
ORDER = ("trajectories", "curvature", "final_loss", "published", "replicas")


class PublishedFile(Settings):
    """An ``.npz`` file with a row for each training sample of the data set, in the data set's own order.

    Unless told otherwise its arrays are named as in the files of Feldman and Zhang
    (https://pluskid.github.io/influence-memorization/), ``cifar100_infl_matrix.npz`` and ``imagenet_index.npz``.

    Attributes:
        file: where it is.
        scores: its array of scores, high for memorized.
        labels: its array of the samples' classes, which tell whether its order is the data set's.
    """

    file: Path
    scores: str = "tr_mem"
    labels: str = "tr_labels"


class ScoreSettings(Protocol):
    """What scores have to know of the audit's settings."""

    @property
    def signals(self) -> tuple[str, ...]:
        """Names of the signals to average over training."""
        ...

    @property
    def replicas(self) -> int:
        """How many networks like the run's to train and compare with."""
        ...

    @property
    def published(self) -> PublishedFile | None:
        """What others have measured of the same samples."""
        ...


class MemorizationScore(Part, ABC):
    """A score of memorization, or a family of them; override `scores`, and `lacking` where a run may not have it.

    Attributes:
        needs: what samples and task must offer, by names in `simulator.core.traits.NEEDS`.
    """

    needs: ClassVar[frozenset[str]] = frozenset()

    def lacking(self, run: Run, settings: ScoreSettings) -> Iterable[Problem]:
        """What ``run`` lacks to be scored."""
        return ()

    @abstractmethod
    def scores(self, run: Run, settings: ScoreSettings) -> Mapping[str, Floats]:
        """Scores by name, float64 [N] of all nodes' training samples, node by node; NaN where one is not known.

        Those of attackers are left out afterwards, whatever they are.

        Raises:
            InputError: a score is not finite.
        """


MEMORIZATION_SCORES: Registry[MemorizationScore] = Registry("memorization_scores")


def scores_named(names: Sequence[str]) -> list[MemorizationScore]:
    """The scores called ``names``, in the order of results.

    Raises:
        InputError: there is no such score.
    """
    return [MEMORIZATION_SCORES.build(PartSettings(name=name)) for name in in_order(set(names), ORDER)]
