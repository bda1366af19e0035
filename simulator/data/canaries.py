"""Canaries: training samples that are each in or out by a coin of its own, for audits that guess the coins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from simulator.core.arrays import leaves, mapped
from simulator.core.canary_marks import MarkedCanaries
from simulator.core.errors import wrong
from simulator.core.samples import Samples
from simulator.core.seeding import generator
from simulator.data.partition import Indices
from simulator.data.settings import CanarySettings

ARRAYS = ("index", "node", "label", "included")
BLANKS = (torch.uint8,)  # as pictures are kept


@dataclass(frozen=True)
class Canaries:
    """The canaries of all nodes, m.

    Attributes:
        index: int64 [m], the row in the data set's training arrays.
        node: int64 [m], whose they are.
        label: int64 [m], the class that they are given: a wrong one, any for blank ones, or if their gradients are
            marks their own; -1 without.
        included: bool [m], whether the node trains on it.
        blank: whether they are nothing but zeros.
    """

    index: NDArray[np.int64]
    node: NDArray[np.int64]
    label: NDArray[np.int64]
    included: NDArray[np.bool_]
    blank: bool = False

    def planted(self, samples: Samples) -> Samples:
        """The data set's training samples with the canaries among them, as they are trained on."""
        if self.blank:
            samples = replace(samples, inputs=mapped(samples.inputs, self._blanked))
        if not (self.label >= 0).any():
            return samples
        assert samples.targets is not None  # private data are labelled
        labels = samples.targets.clone()
        labels[torch.from_numpy(self.index)] = torch.from_numpy(self.label)
        return replace(samples, targets=labels)

    def _blanked(self, inputs: Tensor) -> Tensor:
        blanked = inputs.clone()
        blanked[torch.from_numpy(self.index)] = 0
        return blanked

    def without_left_out(self, rows: Indices) -> Indices:
        """Those of ``rows``, ascending, that are trained on."""
        return np.setdiff1d(rows, self.index[~self.included])

    def marked(self, settings: CanarySettings, samples: int, seed: int) -> MarkedCanaries | None:
        """Those whose gradients are marks, among so many training ``samples``; None if they are of other kinds."""
        if not settings.marked or not settings.number:
            return None
        entry = np.full(samples, -1)
        entry[self.index] = np.arange(len(self.index))
        signs = tuple(1 if sign == "+" else -1 for sign in settings.signs)
        return MarkedCanaries(len(self.index), entry, signs, seed if settings.kind == "direction" else None)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """For ``partition.npz``: ``canary_index`` and so on, one an attribute; nothing where there are none."""
        named = {f"canary_{name}": getattr(self, name) for name in ARRAYS}
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
        classes: number of classes; the wrong label is any but the true one, with equal chances, and blank canaries of a
            node have one each.
        seed: of the run.
        first: the number of the first of the nodes.

    Raises:
        InputError: a node has no more samples than canaries, there is no second class or targets are no classes, or
            blank canaries are more than these, or would be tokens.
    """
    if settings.number == 0:
        none = np.empty(0, dtype=np.int64)
        return Canaries(none, none, none, none.astype(np.bool_))
    if not settings.marked:
        _check_labels(train, classes)
    if settings.kind == "blank":
        _check_blank(settings.number, train, classes)
    drawn = [_draw(settings, train, mine, classes, seed, node) for node, mine in enumerate(rows, first)]
    return together(drawn)


def together(parts: Sequence[Canaries]) -> Canaries:
    """The canaries of all ``parts``, of one kind."""
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS}
    return Canaries(**arrays, blank=any(part.blank for part in parts))


def _check_labels(train: Samples, classes: int) -> None:
    if not _are_classes(train.targets):
        what = "canaries are samples with a wrong class, and these samples have no classes."
        raise wrong("data.canaries", what, "Set data.canaries: 0, or task: classification.")
    if classes < 2:
        raise wrong("data.canaries", "with one class, no label is wrong.", "Set data.canaries: 0.")


def _check_blank(number: int, train: Samples, classes: int) -> None:
    if any(array.dtype not in BLANKS and not array.is_floating_point() for array in leaves(train.inputs)):
        what = "blank canaries are pictures or numbers that are 0, and these samples are others, such as tokens."
        raise wrong("data.canaries", what, "Set data.canaries.kind: mislabelled.")
    if number > classes:
        what = f"blank canaries of one class are one sample, and {number} of a node have {classes} classes."
        raise wrong("data.canaries", what, f"Take {classes} at most.")


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
    elif settings.kind == "blank":
        label = rng.permutation(classes)[:count]
    coins = rng if settings.coins is None else generator(settings.coins, "data.canaries.coins", node=node)
    return Canaries(index, np.full(count, node), label, coins.random(count) < 0.5, settings.kind == "blank")
