"""The samples that the report shows: the most memorized ones, of all nodes and of some."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from simulator.core.samples import Samples

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
EVERYONE = -1  # in place of a node's number: all nodes together


@dataclass(frozen=True)
class Shown:
    """Samples with their images, so that a report needs no data set: S of them.

    Attributes:
        group: int64 [S], the node among whose samples each is ranked, or `EVERYONE`.
        position: int64 [S], its place among the training samples; in a group the most memorized comes first.
        images: uint8 [S, height, width, channels].
    """

    group: Ints
    position: Ints
    images: NDArray[np.uint8]

    @classmethod
    def of(cls, score: Floats, node: Ints, nodes: int, limit: int, pool: Samples, index: Ints) -> Shown:
        """At most ``limit`` of all samples, and as many of each of the first ``nodes`` nodes.

        Args:
            score: float64 [N], high for memorized; of equals the earlier sample comes first.
            node: int64 [N], who trains on each.
            nodes: how many nodes to show.
            limit: of samples in a group.
            pool: samples over the data set's training arrays.
            index: int64 [N], rows in these.
        """
        order = np.argsort(-score, kind="stable")
        groups = {EVERYONE: order} | {each: order[node[order] == each] for each in np.unique(node)[:nodes]}
        tops = {group: rows[:limit] for group, rows in groups.items()}
        position = np.concatenate(list(tops.values()))
        group = np.repeat(list(tops), [len(rows) for rows in tops.values()])
        asked = Samples(pool.inputs, None, torch.from_numpy(index))
        return cls(group, position, asked.images_at(torch.from_numpy(position)).numpy())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """As they are kept in an ``.npz`` file."""
        return {"shown_group": self.group, "shown_position": self.position, "shown_images": self.images}

    @classmethod
    def read(cls, arrays: Mapping[str, NDArray[Any]]) -> Shown:
        """The samples of which `arrays` gave these ``arrays``."""
        return cls(arrays["shown_group"], arrays["shown_position"], arrays["shown_images"])
