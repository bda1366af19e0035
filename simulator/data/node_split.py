"""What a node does with each of its samples: train, validate, hold out, or be tested on; groups are never cut."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from simulator.core.errors import wrong
from simulator.core.samples import NodeData
from simulator.core.seeding import generator
from simulator.data.corruption import Rows
from simulator.data.dataset import ArrayData
from simulator.data.groups import Indices, grouped_share
from simulator.data.public import Drawn
from simulator.data.settings import DataSettings

FEW = "Take fewer nodes, a partition of more equal sizes, or smaller shares."


def check_groups(settings: DataSettings, private: ArrayData, drawn: Drawn) -> None:
    """Refuse what takes single samples out of groups.

    Raises:
        InputError: a setting does.
    """
    if private.groups is None:
        return
    cut = {
        "data.canaries": settings.canaries.number,
        "data.verified": settings.verified,
        "data.corruption.duplicates": settings.corruption.duplicates,
        "data.public": any(data is private for data, _ in drawn),
    }
    for where, is_on in cut.items():
        if is_on:
            what = "it takes single samples, and those of this data set belong to groups, which are never cut."
            raise wrong(where, what, "Remove it, or read the data set without groups.")


def split_node(
    settings: DataSettings, rows: Indices, groups: NDArray[Any] | None, node: int, seed: int, whose: str
) -> Rows:
    """A node's rows for training, validation and holding out.

    The latter two come from opposite ends of one random order, so that neither's share moves the other; where samples
    belong to groups, they are drawn by whole groups, one after the other.

    Raises:
        InputError: nothing is left to train on.
    """
    if groups is not None:
        return _by_groups(settings, rows, groups, node, seed, whose)
    order = generator(seed, "data.split", node=node).permutation(rows)
    validation, held_out = (_share(fraction, len(rows)) for fraction in (settings.validation, settings.held_out))
    if validation + held_out >= len(rows):
        used = f"{validation} for validation and {held_out} held out"
        raise wrong("data.partition", f"{whose} has {len(rows)} samples: none is left to train on after {used}.", FEW)
    end = len(rows) - validation
    return Rows(np.sort(order[held_out:end]), np.sort(order[end:]), np.sort(order[:held_out]))


def _by_groups(settings: DataSettings, rows: Indices, groups: NDArray[Any], node: int, seed: int, whose: str) -> Rows:
    rng = generator(seed, "data.split", node=node)
    held_out, rest = grouped_share(groups, rows, settings.held_out, rng)
    share = settings.validation * len(rows) / len(rest) if len(rest) else 0.0
    validation, train = grouped_share(groups, rest, min(share, 1.0), rng)
    for asked, taken, what in (
        (settings.held_out, held_out, "hold out"),
        (settings.validation, validation, "validate on"),
        (1.0, train, "train on"),
    ):
        if asked and not len(taken):
            count = len(np.unique(groups[rows]))
            what = f"{whose} has {len(rows)} samples of {count} groups, which are never cut: none is left to {what}."
            raise wrong("data.partition", what, FEW)
    return Rows(train, validation, held_out)


def own_test(
    settings: DataSettings, rows: Indices, groups: NDArray[Any] | None, node: int, seed: int, whose: str
) -> tuple[Indices, Indices]:
    """What the node is tested on of its own, and what is left of its rows.

    Raises:
        InputError: one of the two would be empty.
    """
    if settings.test == "common":
        return rows[:0], rows
    taken, left = grouped_share(groups, rows, settings.own_test, generator(seed, "data.own_test", node=node))
    if not (len(taken) and len(left)):
        units = len(rows) if groups is None else len(np.unique(groups[rows]))
        what = f"{whose} has {units} {'samples' if groups is None else 'groups of samples'}: too few to test on some."
        raise wrong("data.own_test", what, "Leave it out, or set data.test: common.")
    return taken, left


def resplit(data: NodeData, groups: NDArray[Any] | None, rng: np.random.Generator) -> NodeData:
    """The node's pool divided anew into as many samples to train on and to hold out; with groups, about as many."""
    train, held_out = data.train, data.held_out
    pool = torch.cat([train.index, held_out.index]).sort().values.numpy()
    if groups is None:
        order = rng.permutation(pool)
        rows = (np.sort(order[len(held_out) :]), np.sort(order[: len(held_out)]))
    else:
        out, kept = grouped_share(groups, pool, len(held_out) / len(pool), rng)
        rows = (kept, out)
    train, held_out = (replace(train, index=torch.from_numpy(index)) for index in rows)
    return replace(data, train=train, held_out=held_out)


def _share(fraction: float, size: int) -> int:
    return max(1, round(fraction * size)) if fraction else 0
