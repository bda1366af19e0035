"""Verified samples: a small part of each node's training samples, set aside before any label is made wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from simulator.core.errors import wrong
from simulator.core.seeding import generator
from simulator.data.partition import Indices
from simulator.data.settings import VerifiedSettings

LEAST = 2  # one to fit by and one to select by


class VerifiedRows(NamedTuple):
    """Rows of the training arrays: int64 [F] to fit by and int64 [S] to select by, sorted."""

    fit: Indices
    select: Indices


def set_aside(
    settings: VerifiedSettings | None, train: Sequence[Indices], seed: int, first: int = 0
) -> tuple[list[Indices], list[VerifiedRows | None]]:
    """Take the verified samples out of what the nodes would train on, each node's at random, half of them to fit by.

    Before any label is made wrong, so verified ones stay right. They come from the node's own pool, so their classes
    are skewed as the node's are, unless they are ``shared``: all of them together follow the whole pool's classes.

    Args:
        settings: how many, and for whom; None for none.
        train: each node's rows, in order of node id.
        seed: the experiment's.
        first: the number of the first of the nodes.

    Returns:
        What is left to train on (``train`` itself without settings), and each node's verified rows.

    Raises:
        InputError: a node has too few samples.
    """
    if settings is None:
        return list(train), [None] * len(train)
    drawn = (_of_node(settings.share, rows, node, seed) for node, rows in enumerate(train, first))
    left, verified = zip(*drawn, strict=True)
    if settings.shared:
        everyone = VerifiedRows(*(np.sort(np.concatenate(half)) for half in zip(*verified, strict=True)))
        return list(left), [everyone] * len(train)
    return list(left), list(verified)


def _of_node(share: float, rows: Indices, node: int, seed: int) -> tuple[Indices, VerifiedRows]:
    count = max(LEAST, round(share * len(rows)))
    if count >= len(rows):
        what = f"node {node} has {len(rows)} samples: none is left to train on after {count} are set aside as verified."
        raise wrong("data.verified.share", what, "Take fewer nodes, a partition of more equal sizes, or less.")
    order = generator(seed, "data.verified", node=node).permutation(rows)
    half = -(-count // 2)
    return np.sort(order[count:]), VerifiedRows(np.sort(order[:half]), np.sort(order[half:count]))
