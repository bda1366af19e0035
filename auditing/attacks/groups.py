"""Whether a group of samples, such as a patient's, was trained on: what its samples say together.

Their sum is compared with what it is in references that did not train on the group. So what the sum varies by is never
inferred from how single samples vary: those of a group resemble each other, and tell less together than as many others.
Groups lie whole at one node, and so a group that the node did not train on was trained on nowhere.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from auditing.attacks.attack import Attack
from auditing.attacks.evidence import Evidence, Floats, References, log_density


class GroupAttack(Attack):
    """Base of attacks on groups: override `statistics`."""

    replicas: ClassVar[int] = 4  # of which about two trained on a group, and two did not
    groups: ClassVar[bool] = True
    variant: ClassVar[bool] = True

    @abstractmethod
    def statistics(self, evidence: Evidence) -> tuple[Floats, Floats]:
        """What is summed over a group: float64 [N] in the attacked model, [M, N] in references without the group."""

    def judge(self, evidence: Evidence) -> Floats:
        """The sum over a sample's group, float64 [N], in deviations from its mean in references without the group."""
        assert evidence.group is not None  # refused where samples come in none
        _, first, place = np.unique(evidence.group, return_index=True, return_inverse=True)
        order, sizes = np.argsort(place, kind="stable"), np.bincount(place)
        starts = np.cumsum(sizes) - sizes
        own, others = (np.add.reduceat(each[..., order], starts, axis=-1) for each in self.statistics(evidence))
        outside = References(others, evidence.outside.chosen[:, first])
        score: Floats = (own - outside.mean) / outside.sd("per_example")
        return score[place]


class Offline(GroupAttack):
    """A group's summed signal, against the same in references that did not train on the group."""

    def statistics(self, evidence: Evidence) -> tuple[Floats, Floats]:
        """Returns the signals as they are."""
        return evidence.signal, evidence.outside.values


class Online(GroupAttack):
    """A group's summed ratios of likelihoods, against the same in references that did not train on the group."""

    def statistics(self, evidence: Evidence) -> tuple[Floats, Floats]:
        """LiRA's ratios, with one spread within samples for all; a reference has no part in what it is judged by."""
        inside, outside = evidence.inside, evidence.outside
        count, mean = outside.chosen.sum(axis=0), outside.mean
        without = np.where(count > 1, (count * mean - outside.values) / np.maximum(count - 1, 1), mean)
        likely, unlikely = inside.sd("global"), outside.sd("global")

        def ratio(signal: Floats, usual: Floats) -> Floats:
            return log_density(signal, inside.mean, likely) - log_density(signal, usual, unlikely)

        return ratio(evidence.signal, mean), ratio(outside.values, without)
