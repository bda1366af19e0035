"""One site's half of the preparation: its own data opened and split, whatever there is at the others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simulator.core.errors import InputError, Problem
from simulator.data.canaries import Canaries, plant
from simulator.data.common import Common, called, samples_of, specified
from simulator.data.content import Content
from simulator.data.corruption import Rows
from simulator.data.dataset import ArrayData
from simulator.data.groups import Indices
from simulator.data.node_split import check_groups, own_test, split_node
from simulator.data.overlap import check_overlap
from simulator.data.settings import DataSettings
from simulator.data.sites.opening import read
from simulator.data.stored import rows_of, size, to_numpy
from simulator.data.verified import VerifiedRows, set_aside


class SiteDataError(InputError):
    """A site's data cannot be used. What it says may quote them: it is for the eyes of their owner alone."""


@dataclass(frozen=True)
class Site:
    """What one site holds, in rows of its own arrays.

    Attributes:
        whose: what to call it in sentences.
        data: all of it.
        rows: of the training arrays, by what the site does with them; canaries that a coin leaves out are in them.
        own_test: what it is tested on: rows of its test arrays, where it ``brought_tests``, else of its training
            arrays.
        brought_tests: whether its data have a test set, and it is tested on that.
        verified: what is known to be labelled right; None where nothing was set aside.
        canaries: its own.
        content: what tells its data from any other.
        notes: what their owner should know.
    """

    whose: str
    data: ArrayData
    rows: Rows
    own_test: Indices
    brought_tests: bool
    verified: VerifiedRows | None
    canaries: Canaries
    content: Content
    notes: tuple[str, ...]


def opened_site(settings: DataSettings, common: Common, path: Path, node: int, seed: int) -> Site:
    """Open what lies at ``path`` for the site that is ``node``, and split it.

    All chances are the node's own, so that nothing here depends on another site.

    Raises:
        SiteDataError: the data are not what the schema says, or too few for what is asked.
    """
    assert settings.sites is not None  # else nodes are no sites
    name = settings.sites.names[node]
    with own_words(name):
        data = read(settings, settings.sites, path)
        specified(common.outputs.task, data)
        check_groups(settings, data, ())
        return _split(settings, common, data, node, seed, f"the site {name}")


@contextmanager
def own_words(name: str) -> Iterator[None]:
    """Let what goes wrong within the block be said of the data of the site ``name``.

    Raises:
        SiteDataError: in the place of any other `InputError`.
    """
    try:
        yield
    except InputError as error:
        where = f"site {name}"
        told = [
            Problem(f"{where}: {each.where}" if each.where else where, each.what, each.advice)
            for each in error.problems
        ]
        raise SiteDataError(*told) from error


def _split(settings: DataSettings, common: Common, data: ArrayData, node: int, seed: int, whose: str) -> Site:
    every = np.arange(size(data.x_train))
    brought, tested, kept = settings.test != "common" and data.x_test is not None, every[:0], every
    if brought:
        assert data.x_test is not None
        tested = np.arange(size(data.x_test))
    else:
        tested, kept = own_test(settings, every, data.groups, node, seed, whose)
    rows = split_node(settings, kept, data.groups, node, seed, whose)
    (left,), (verified,) = set_aside(settings.verified, [rows.train], seed, node)
    rows = rows._replace(train=left)
    train = samples_of(data.x_train, data.y_train)
    known = rows_of(data.x_train, every[:0]) if common.test is None else to_numpy(common.test.inputs)
    overlap = check_overlap(settings, common.public, data.x_train, known, called(common.inputs))
    return Site(
        whose=whose,
        data=data,
        rows=rows,
        own_test=tested,
        brought_tests=brought,
        verified=verified,
        canaries=plant(settings.canaries, train, [rows.train], data.num_classes, seed, node),
        content=Content.of(data),
        notes=(*data.notes, *overlap),
    )
