"""Samples that are exact copies of others: alike in all that a network is given, to the last bit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from simulator.core.samples import NodeData
from simulator.data.dataset import ArrayData
from simulator.data.kinds.kind import StoredArrays
from simulator.data.label_noise import true_labels
from simulator.data.stored import named, to_numpy

AT_ONCE = 4096  # samples
MOST_NAMED = 5  # sites: writers or users may be thousands
Rows = NDArray[np.int64]
NO_SUMS = np.empty(0, dtype=np.uint64)


def told_copies(nodes: Sequence[NodeData]) -> Iterator[str]:
    """How many of the samples that these nodes, whose arrays are the same, are tested on one of them trains on."""
    if not nodes:
        return
    tests = {id(test): test for node in nodes for test in (node.test, node.own_test) if test is not None}
    trained = to_numpy(nodes[0].train.inputs), np.concatenate([node.train.index.numpy() for node in nodes])
    copies = sum(int(copied((to_numpy(test.inputs), test.index.numpy()), trained).sum()) for test in tests.values())
    if copies:
        what = f"{copies:,} of {sum(map(len, tests.values())):,} test samples are exact copies of training samples"
        yield f"{what}: scores on them measure what is known by heart"


def told_shared(nodes: Mapping[str, NodeData]) -> Iterator[str]:
    """How many of what these sites, whose arrays are the same, train on another of them trains on as well."""
    inputs = to_numpy(next(iter(nodes.values())).train.inputs) if nodes else np.empty(0)
    rows = {name: node.train.index.numpy() for name, node in nodes.items()}
    sums = {name: _sums(inputs, own) for name, own in rows.items()}
    values, times = np.unique(np.concatenate([*map(np.unique, sums.values()), NO_SUMS]), return_counts=True)
    several, owners = values[times > 1], defaultdict[bytes, list[str]](list)
    for name, own in rows.items():
        for content in _contents(inputs, own[np.isin(sums[name], several)]):
            owners[content].append(name)
    shared = [names for names in owners.values() if len(set(names)) > 1]
    if shared:
        names = list(dict.fromkeys(chain(*shared)))
        of = " and ".join(names) if len(names) <= MOST_NAMED else f"{len(names):,} sites"
        what = f"{sum(map(len, shared)):,} training samples of {of}"
        yield f"{what} are exact copies of each other's: what one of these sites gives away of them, all of them do"


def told_twofold(data: ArrayData, rows: Rows) -> Iterator[str]:
    """How many of the training images ``rows`` are there once more, under another class."""
    inputs, labels = data.x_train, true_labels(data)
    sums, order = _sums(inputs, rows), np.argsort(labels[rows], kind="stable")
    _, first, again = np.unique(sums[order], return_index=True, return_inverse=True)
    of_first = labels[rows][order][first][again]  # the least label of those that seem alike
    suspects = np.isin(sums, sums[order][labels[rows][order] != of_first])
    found = defaultdict[bytes, set[int]](set)
    for content, label in zip(_contents(inputs, rows[suspects]), labels[rows][suspects].tolist(), strict=True):
        found[content].add(label)
    if twofold := [sorted(each) for each in found.values() if len(each) > 1]:
        shown = " and ".join(data.class_names[label] for label in twofold[0])
        what = f"{len(twofold):,} training images are there several times, under different classes, such as {shown}"
        yield f"{what}: leave each in the one that it is of"


def copied(these: tuple[StoredArrays, Rows], those: tuple[StoredArrays, Rows]) -> NDArray[np.bool_]:
    """Which of ``these`` rows of arrays have a copy among ``those``, bool [number of these]."""
    mine, theirs = _sums(*these), _sums(*those)
    found = np.isin(mine, theirs)
    suspects = np.flatnonzero(np.isin(theirs, mine[found]))  # few, which are then compared as they are
    known = set(_contents(those[0], those[1][suspects]))
    found[found] = [content in known for content in _contents(these[0], these[1][found])]
    return found


def _sums(inputs: StoredArrays, rows: Rows) -> NDArray[np.uint64]:
    """A number of each row, the same for the same content: its words, weighted by random numbers and added up."""
    total = np.zeros(len(rows), dtype=np.uint64)
    for _, array in named(inputs):
        width = int(np.prod(array.shape[1:], dtype=np.int64)) * array.itemsize
        words = np.zeros((AT_ONCE, -(-width // 8)), dtype=np.uint64)
        weights = np.random.default_rng(0).integers(1, 2**64, words.shape[1], dtype=np.uint64)
        for begin in range(0, len(rows), AT_ONCE):
            block = np.ascontiguousarray(array[rows[begin : begin + AT_ONCE]])
            words.view(np.uint8)[: len(block), :width] = block.view(np.uint8).reshape(len(block), width)
            total[begin : begin + len(block)] += words[: len(block)] @ weights
    return total


def _contents(inputs: StoredArrays, rows: Rows) -> list[bytes]:
    arrays = [array for _, array in named(inputs)]
    return [b"".join(array[row].tobytes() for array in arrays) for row in rows.tolist()]
