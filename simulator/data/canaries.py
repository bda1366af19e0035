"""Canaries: training samples that are each in or out by a coin of its own, for audits that guess the coins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulator.core.canary_block import CanaryBlock
from simulator.core.errors import wrong
from simulator.core.samples import Samples
from simulator.core.seeding import generator
from simulator.data.partition import Indices
from simulator.data.settings import CanarySettings


@dataclass(frozen=True)
class Canaries:
    """The canaries of all nodes, m.

    Attributes:
        index: int64 [m], the row in the data set's training arrays.
        node: int64 [m], whose they are.
        label: int64 [m], the class that they are given: a wrong one, or if they are in a block their own; -1 without.
        included: bool [m], whether the node trains on it.
    """

    index: NDArray[np.int64]
    node: NDArray[np.int64]
    label: NDArray[np.int64]
    included: NDArray[np.bool_]

    def mislabelled(self, samples: Samples) -> Samples:
        """The data set's training samples with the canaries' labels."""
        if not (self.label >= 0).any():
            return samples
        assert samples.targets is not None  # private data are labelled
        labels = samples.targets.clone()
        labels[torch.from_numpy(self.index)] = torch.from_numpy(self.label)
        return replace(samples, targets=labels)

    def without_left_out(self, rows: Indices) -> Indices:
        """Those of ``rows``, ascending, that are trained on."""
        return np.setdiff1d(rows, self.index[~self.included])

    def block(self, settings: CanarySettings, samples: int) -> CanaryBlock | None:
        """The block of canaries that have one, among so many training ``samples``; None for those of other kinds."""
        if settings.kind != "block" or not settings.number:
            return None
        entry = np.full(samples, -1)
        entry[self.index] = np.arange(len(self.index))
        return CanaryBlock(len(self.index), entry, tuple(1 if sign == "+" else -1 for sign in settings.signs))

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """For ``partition.npz``: ``canary_index`` and so on, one an attribute; nothing where there are none."""
        named = {f"canary_{field.name}": getattr(self, field.name) for field in fields(self)}
        if (self.label < 0).all():
            del named["canary_label"]
        return named if len(self.index) else {}


def plant(
    settings: CanarySettings, train: Samples, rows: Sequence[Indices], classes: int, seed: int, first: int = 0
) -> Canaries:
    """Make random training samples of each node its canaries; half of them, by chance, leave its training.

    Args:
        settings: how many of each node, of which kind.
        train: all training samples of the data set, with their true labels.
        rows: which of them each node was to train on.
        classes: number of classes; the wrong label is any but the true one, with equal chances.
        seed: of the run.
        first: the number of the first of the nodes.

    Raises:
        InputError: a node has no more samples than canaries, there is no second class, or targets are no classes.
    """
    if settings.number == 0:
        none = np.empty(0, dtype=np.int64)
        return Canaries(none, none, none, none.astype(np.bool_))
    if settings.kind == "mislabelled":
        _check_labels(train, classes)
    drawn = [_draw(settings, train, mine, classes, seed, node) for node, mine in enumerate(rows, first)]
    return Canaries(*(np.concatenate([getattr(each, field.name) for each in drawn]) for field in fields(Canaries)))


def _check_labels(train: Samples, classes: int) -> None:
    if not _are_classes(train.targets):
        what = "canaries are samples with a wrong class, and these samples have no classes."
        raise wrong("data.canaries", what, "Set data.canaries: 0, or task: classification.")
    if classes < 2:
        raise wrong("data.canaries", "with one class, no label is wrong.", "Set data.canaries: 0.")


def _are_classes(targets: Tensor | None) -> bool:
    return targets is not None and targets.dim() == 1 and not targets.is_floating_point()


def _draw(settings: CanarySettings, train: Samples, rows: Indices, classes: int, seed: int, node: int) -> Canaries:
    count = settings.number
    if count >= len(rows):
        what = f"node {node} has {len(rows)} samples to train on: too few for {count} canaries and others beside them."
        raise wrong("data.canaries", what, "Take fewer canaries or nodes, or a partition of more equal sizes.")
    rng = generator(seed, "data.canaries", node=node)
    index = np.sort(rng.permutation(rows)[:count])
    label = train.targets_at(torch.from_numpy(index)).numpy() if _are_classes(train.targets) else np.full(count, -1)
    if settings.kind == "mislabelled":
        label = (label + rng.integers(1, classes, count)) % classes
    coins = rng if settings.coins is None else generator(settings.coins, "data.canaries.coins", node=node)
    return Canaries(index, np.full(count, node), label, coins.random(count) < 0.5)
