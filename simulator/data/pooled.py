"""Data that are one pool, which every node can read: loaded, divided among the nodes, and split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from simulator.core.errors import InputError, wrong
from simulator.core.samples import NodeData, Samples
from simulator.core.seeding import generator
from simulator.core.specification import InputSpec
from simulator.core.task import Task
from simulator.data.canaries import plant
from simulator.data.common import Common, called, check_kind, samples_of, specified, subset_of
from simulator.data.conform import conversion
from simulator.data.content import Content
from simulator.data.copies import told_copies, told_shared, told_twofold
from simulator.data.corruption import Rows, corrupt
from simulator.data.dataset import ArrayData
from simulator.data.kinds.images import Images
from simulator.data.kinds.kind import StoredArrays
from simulator.data.label_noise import true_labels
from simulator.data.loading import load_private
from simulator.data.modalities import dealt
from simulator.data.network_data import NetworkData
from simulator.data.node_split import check_groups, own_test, split_node
from simulator.data.origin import Pool
from simulator.data.overlap import check_overlap
from simulator.data.partition import PARTITIONS, Indices, checked_parts
from simulator.data.public import Drawn, assemble, draw
from simulator.data.settings import DataSettings
from simulator.data.stored import rows_of, size
from simulator.data.subset import restricted
from simulator.data.undefined_scores import undefined_scores
from simulator.data.verified import set_aside


def prepare_pool(settings: DataSettings, nodes: int, seed: int, task: Task) -> NetworkData:
    """Load the data, draw the public set, divide the rest among the nodes, and split what each node got.

    Every random choice has its own generator: the partition does not move with the validation share or with public
    sources other than the private data set, held-out samples do not move with the validation share, and neither moves
    with the verified share.

    Args:
        settings: what data, for whom.
        nodes: how many.
        seed: the experiment's.
        task: what is predicted.

    Raises:
        InputError: a data set or a coreset cannot be loaded, there are too few samples for what is asked, or samples
            lack a modality that a node is to hold.
    """
    private = load_private(settings.dataset, settings.root, needs_test=settings.test != "own")
    outputs = specified(task, private)
    check_kind(settings, private.kind.specification(private.x_train))
    drawn = draw(settings, private, seed)
    check_groups(settings, private, drawn)
    public = assemble(private, drawn, seed)
    pool = np.setdiff1d(np.arange(size(private.x_train)), public.index[public.in_distribution])
    pool = subset_of(pool, settings.train_samples, generator(seed, "data.train_samples"))
    parts, sites = _partition(settings, task, private, pool, nodes, seed)
    whose = [f"the site {name}" for name in sites] or [f"node {node}" for node in range(nodes)]
    groups, own_rows, rows = private.groups, list[Indices](), list[Rows]()
    brought = _brought_tests(settings, private, sites)
    for node, part in enumerate(parts):
        tested, kept = pool[:0], pool[part]
        if not brought:
            tested, kept = own_test(settings, kept, groups, node, seed, whose[node])
        own_rows.append(tested)
        rows.append(split_node(settings, kept, groups, node, seed, whose[node]))
    left, verified = set_aside(settings.verified, [mine.train for mine in rows], seed)
    rows = [mine._replace(train=to_train) for mine, to_train in zip(rows, left, strict=True)]
    corrupted = corrupt(settings.corruption, private, rows, seed)
    content, inputs = Content.of(private), private.kind.specification(private.x_train)
    left = restricted(settings.subset, content, [mine.train for mine in rows], seed)
    rows = [mine._replace(train=to_train) for mine, to_train in zip(rows, left, strict=True)]
    train = samples_of(corrupted.inputs, corrupted.labels)
    test, known = _test_set(settings, private, seed)
    preparation = private.kind.preparation(private.x_train, _measured(inputs, pool, rows))
    common = Common(inputs, outputs, preparation, public, test)
    shared = [*check_overlap(settings, public, rows_of(private.x_train, pool), known, called(inputs))]
    canaries = plant(settings.canaries, train, [mine.train for mine in rows], private.num_classes, seed)
    train = canaries.planted(train)
    rows = [mine._replace(train=canaries.without_left_out(mine.train)) for mine in rows]
    marked, held = canaries.marked(settings.canaries, len(train), seed), list[NodeData]()
    for node, (mine, own, clean) in enumerate(zip(rows, own_rows, verified, strict=True)):
        on_own = brought[node] if brought else train.subset(torch.from_numpy(own)) if len(own) else None
        held.append(common.node(train, mine, on_own, clean, marked))
    dealt_out = dealt(held, settings.modality_by_node)
    return NetworkData(
        nodes=dealt_out,
        example=dealt_out[0],
        public_labels=public.labels,
        public_in_distribution=public.in_distribution,
        public_source=public.source,
        public_index=public.index,
        class_names=private.class_names,
        content=content,
        shared=common.identified(content.digest),
        canaries=canaries,
        notes=(
            *_notes(settings, private, drawn),
            *_left_over(len(pool) - sum(map(len, parts)), nodes, sites),
            *shared,
            *(["sites are tested on the samples that they brought for it"] if brought else []),
            *undefined_scores(held, whose),
            *told_copies(held),
            *(told_twofold(private, pool) if task.has_classes and isinstance(private.kind, Images) else ()),
            *told_shared(dict(zip(sites, held, strict=True)) if sites else {}),
        ),
        truth=corrupted.truth if settings.corruption.is_on else None,
        sites=sites,
        groups=groups,
    )


def _test_set(settings: DataSettings, private: ArrayData, seed: int) -> tuple[Samples | None, StoredArrays]:
    """What all nodes are tested on, and its inputs; none where they are tested on samples of their own alone."""
    if settings.test == "own":
        return None, rows_of(private.x_train, np.arange(0))
    test = samples_of(private.x_test, private.y_test)
    tested = subset_of(np.arange(len(test)), settings.test_samples, generator(seed, "data.test_samples"))
    assert private.x_test is not None  # `load_private` saw to it
    return test.subset(torch.from_numpy(tested)), rows_of(private.x_test, tested)


def _brought_tests(settings: DataSettings, private: ArrayData, sites: Sequence[str]) -> list[Samples]:
    """The test samples that each site has brought itself, where the data tell and nodes are tested on their own."""
    if settings.test == "common" or private.test_sites is None or not sites:
        return []
    test = samples_of(private.x_test, private.y_test)
    numbers = [private.site_names.index(name) for name in sites]
    rows = [torch.from_numpy(np.flatnonzero(private.test_sites == number)) for number in numbers]
    for name, own in zip(sites, rows, strict=True):
        if not len(own):
            what = f"the site {name} has no test samples, and others have."
            raise wrong("data.test", what, "Give it some, or set data.test: common.")
    return [test.subset(own) for own in rows]


def _measured(inputs: InputSpec, pool: Indices, rows: Sequence[Rows]) -> Indices:
    """By which samples inputs are scaled: images by all that nodes hold, whatever else by what is trained on."""
    return pool if inputs.kind == "images" else np.sort(np.concatenate([mine.train for mine in rows]))


def _partition(
    settings: DataSettings, task: Task, private: ArrayData, rows: Indices, nodes: int, seed: int
) -> tuple[list[Indices], tuple[str, ...]]:
    """The positions in ``rows`` that each node gets, and what the nodes are called, where the data say so."""
    try:
        part = PARTITIONS.build(settings.partition)
        if part.by_class and not task.has_classes:
            what = f"'{part.config.name}' divides classes, and the task {task.config.name} has none."
            raise wrong("", what, "Take a partition that does without them, such as iid or quantity_skew.")
        labels = true_labels(private)[rows] if task.has_classes else np.zeros(len(rows), dtype=np.int64)
        pool = Pool.of(private, rows, labels)
        parts = checked_parts(part.divide(pool, nodes, generator(seed, "data.partition")), len(rows), nodes)
        return parts, part.sites(pool, nodes, generator(seed, "data.partition"))
    except InputError as error:
        raise error.under("data.partition") from error


def _notes(settings: DataSettings, private: ArrayData, drawn: Drawn) -> Iterator[str]:
    yield from private.notes
    if settings.subset and settings.held_out:
        yield (
            "audits of membership will refuse this run: the coreset (data.subset) chooses among training samples only, "
            "so held-out ones differ from members by themselves"
        )
    for source, (data, _) in zip(settings.public, drawn, strict=True):
        if data is not private:
            yield from data.notes
        if done := _conversion(data, private):
            yield f"public images of {source.dataset.name}: {done}"


def _left_over(count: int, nodes: int, sites: Sequence[str]) -> Iterator[str]:
    """What no node got, where nodes are ``sites`` or, if there are none, parts that are mostly of equal size."""
    if count:
        why = "the partition gives all nodes the same number" if count < nodes else "the partition leaves them out"
        why = "they are of sites that are no nodes" if sites else why
        yield f"{count:,} training samples went to no node: {why}"


def _conversion(data: ArrayData, private: ArrayData) -> str:
    """What is done to public images, in words; nothing to other samples."""
    images = isinstance(data.x_train, np.ndarray) and isinstance(private.x_train, np.ndarray)
    is_done = images and isinstance(data.kind, Images)
    return conversion(data.x_train, private.x_train.shape[1:]) if is_done else ""  # type: ignore[arg-type, union-attr]
