"""Canaries: mislabelled training samples, each in or out by a coin of its own, for audits that guess the coins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray

from simulator.core.errors import wrong
from simulator.core.samples import Samples
from simulator.core.seeding import generator
from simulator.data.partition import Indices


@dataclass(frozen=True)
class Canaries:
    """The canaries of all nodes, m.

    Attributes:
        index: int64 [m], the row in the data set's training arrays.
        node: int64 [m], whose they are.
        label: int64 [m], the wrong class that they are given.
        included: bool [m], whether the node trains on it.
    """

    index: NDArray[np.int64]
    node: NDArray[np.int64]
    label: NDArray[np.int64]
    included: NDArray[np.bool_]

    def mislabelled(self, samples: Samples) -> Samples:
        """The data set's training samples with the canaries' labels."""
        if not len(self.index):
            return samples
        assert samples.targets is not None  # private data are labelled
        labels = samples.targets.clone()
        labels[torch.from_numpy(self.index)] = torch.from_numpy(self.label)
        return replace(samples, targets=labels)

    def without_left_out(self, rows: Indices) -> Indices:
        """Those of ``rows``, ascending, that are trained on."""
        return np.setdiff1d(rows, self.index[~self.included])

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """For ``partition.npz``: ``canary_index`` and so on, one an attribute; nothing where there are none."""
        named = {f"canary_{field.name}": getattr(self, field.name) for field in fields(self)}
        return named if len(self.index) else {}


def plant(count: int, train: Samples, rows: Sequence[Indices], classes: int, seed: int, first: int = 0) -> Canaries:
    """Make ``count`` random training samples of each node its canaries; half of them, by chance, leave its training.

    Args:
        count: of each node; 0 for none.
        train: all training samples of the data set, with their true labels.
        rows: which of them each node was to train on.
        classes: number of classes; the wrong label is any but the true one, with equal chances.
        seed: of the run.
        first: the number of the first of the nodes.

    Raises:
        InputError: a node has no more samples than canaries, there is no second class, or targets are no classes.
    """
    if count == 0:
        none = np.empty(0, dtype=np.int64)
        return Canaries(none, none, none, none.astype(np.bool_))
    if train.targets is None or train.targets.dim() != 1 or train.targets.is_floating_point():
        what = "canaries are samples with a wrong class, and these samples have no classes."
        raise wrong("data.canaries", what, "Set data.canaries: 0, or task: classification.")
    if classes < 2:
        raise wrong("data.canaries", "with one class, no label is wrong.", "Set data.canaries: 0.")
    drawn = [_draw(count, train, mine, classes, seed, node) for node, mine in enumerate(rows, first)]
    return Canaries(*(np.concatenate([getattr(each, field.name) for each in drawn]) for field in fields(Canaries)))


def _draw(count: int, train: Samples, rows: Indices, classes: int, seed: int, node: int) -> Canaries:
    if count >= len(rows):
        what = f"node {node} has {len(rows)} samples to train on: too few for {count} canaries and others beside them."
        raise wrong("data.canaries", what, "Take fewer canaries or nodes, or a partition of more equal sizes.")
    if not count:  # targets need be no classes
        nothing = np.zeros(0, dtype=np.int64)
        return Canaries(nothing, nothing, nothing, nothing.astype(np.bool_))
    rng = generator(seed, "data.canaries", node=node)
    index = np.sort(rng.permutation(rows)[:count])
    truth = train.targets_at(torch.from_numpy(index)).numpy()
    label = (truth + rng.integers(1, classes, count)) % classes
    return Canaries(index, np.full(count, node), label, rng.random(count) < 0.5)
