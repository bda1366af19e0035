"""What is made wrong with the nodes' data on purpose, before training, and the truth about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from simulator.core.errors import InputError, wrong
from simulator.core.seeding import generator
from simulator.data.dataset import ArrayData
from simulator.data.kinds.kind import StoredArrays
from simulator.data.label_noise import LABEL_NOISE, Labels, other_classes, true_labels
from simulator.data.partition import Indices
from simulator.data.settings import Corruption
from simulator.data.stored import rows_of

ORIGINAL = -1


class Rows(NamedTuple):
    """A node's rows of the training arrays, by what it does with them."""

    train: Indices
    validation: Indices
    held_out: Indices


@dataclass(frozen=True)
class Truth:
    """What an onlooker knows of the corrupted training arrays, and no node.

    Attributes:
        labels: int64 [N], the true class of each image.
        duplicate_of: int64 [N], the row that the image was copied from, or -1 for an image in its own place.
    """

    labels: Labels
    duplicate_of: Indices


@dataclass(frozen=True)
class Corrupted:
    """The training arrays that nodes get; those of the data set itself where nothing is changed.

    Attributes:
        inputs: of N samples.
        labels: int64 [N]; where the task has no classes, its targets, which stay as they are.
        truth: about both.
    """

    inputs: StoredArrays
    labels: Labels
    truth: Truth


def corrupt(settings: Corruption, data: ArrayData, nodes: Sequence[Rows], seed: int) -> Corrupted:
    """Make the nodes' labels noisy, and put duplicates into their training sets.

    Noise hits round(rate n) of the n training samples of each node and the same share of its held-out ones (were
    non-members cleaner, an audit could tell them by their labels; where that share is no whole number, a coin rounds
    it, so that nodes together are right), and validation samples where ``validation: noisy``.
    Every row has its turn in one random order, so a higher rate hits the same samples and more. The test set stays
    clean.

    Args:
        settings: what to do.
        data: labelled.
        nodes: who holds which rows of the training arrays.
        seed: the experiment's.

    Raises:
        InputError: the data set lacks the labels asked for, or a node has too few samples to duplicate.
    """
    labels = _noisy(settings, data, nodes, seed)
    copies = np.full(len(labels), ORIGINAL)
    for node, rows in enumerate(nodes if settings.duplicates else ()):
        rng = generator(seed, "data.corruption.duplicates", node=node)
        sources, targets = _pairs(settings.duplicates, rows.train, node, rng)
        copies[targets] = sources
        labels[targets] = other_classes(labels[sources], data.num_classes, rng)
    origin = np.where(copies == ORIGINAL, np.arange(len(labels)), copies)
    inputs = rows_of(data.x_train, origin) if settings.duplicates else data.x_train
    return Corrupted(inputs, labels, Truth(true_labels(data)[origin], copies))


def _noisy(settings: Corruption, data: ArrayData, nodes: Sequence[Rows], seed: int) -> Labels:
    labels = true_labels(data).copy()
    if settings.labels is None:
        return labels
    noise = LABEL_NOISE.build(settings.labels)
    try:
        instead = noise.labels(data, generator(seed, "data.corruption.labels"))
    except InputError as error:
        raise error.under("data.corruption.labels") from error
    turn = generator(seed, "data.corruption.turn").permutation(len(labels))
    for node, rows in enumerate(nodes):
        rate, coin = noise.config.at(node), generator(seed, "data.corruption.held_out", node=node)
        hits = round(rate * len(rows.train))
        of_held_out = _rounded(hits * len(rows.held_out), len(rows.train), coin)
        validation = round(rate * len(rows.validation)) if settings.validation == "noisy" else 0
        for split, count in zip(rows, (hits, validation, of_held_out), strict=True):
            hit = split[np.argsort(turn[split])][:count]
            labels[hit] = instead[hit]
    return labels


def _rounded(part: int, whole: int, coin: np.random.Generator) -> int:
    """``part / whole``, up or down by chance where it is no whole number, so that it is right in the mean."""
    count, rest = divmod(part, whole)
    return count + int(coin.random() * whole < rest)


def _pairs(count: int, rows: Indices, node: int, rng: np.random.Generator) -> tuple[Indices, Indices]:
    """``count`` rows to copy and as many to copy them to, all of them different."""
    if 2 * count > len(rows):
        what = f"node {node} has {len(rows)} training samples, and {count} pairs of duplicates need {2 * count}."
        raise wrong("data.corruption.duplicates", what, f"Ask for {len(rows) // 2} at most, or take fewer nodes.")
    chosen = rng.choice(rows, 2 * count, replace=False)
    return chosen[:count], chosen[count:]
