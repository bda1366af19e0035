"""From the ``data`` block of an experiment to what each node holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from simulator.core import atomic
from simulator.core.errors import InputError, wrong
from simulator.core.samples import NodeData, Samples, VerifiedData
from simulator.core.seeding import generator
from simulator.core.specification import InputSpec, OutputSpec
from simulator.core.task import Task
from simulator.data.canaries import Canaries, plant
from simulator.data.conform import conversion
from simulator.data.content import CONTENT, Content
from simulator.data.corruption import Rows, Truth, corrupt
from simulator.data.dataset import ArrayData
from simulator.data.kinds.images import Images
from simulator.data.kinds.kind import StoredArrays
from simulator.data.label_noise import true_labels
from simulator.data.loading import load_private
from simulator.data.modalities import dealt
from simulator.data.node_split import check_groups, own_test, resplit, split_node
from simulator.data.origin import Pool
from simulator.data.overlap import check_overlap
from simulator.data.partition import PARTITIONS, Indices
from simulator.data.public import Drawn, assemble, draw
from simulator.data.settings import Corruption, DataSettings, PublicSource, VerifiedSettings
from simulator.data.stored import rows_of, size, to_tensor, to_tensors
from simulator.data.subset import restricted
from simulator.data.verified import VerifiedRows, set_aside
from simulator.tasks.classification import Classification

__all__ = ["Corruption", "DataSettings", "NetworkData", "PublicSource", "VerifiedSettings", "prepare"]

SPLITS = ("train", "validation", "held_out")
VERIFIED_SPLITS = ("verified.fit", "verified.select")


@dataclass(frozen=True)
class NetworkData:
    """The data of all nodes, and what only an onlooker may know about it.

    Attributes:
        nodes: what each node sees, in order of node id.
        public_labels: int64 [P], the true class of each public image, or -1 where it comes from another data set.
        public_in_distribution: bool [P], whether the public image comes from the private data set.
        public_source: int64 [P], its source, counted in ``data.public``.
        public_index: int64 [P], its row in that source's training images.
        class_names: one name a class.
        content: what tells the private data set from any other.
        canaries: those of all nodes.
        sites: one name a node, where the data name them; or else empty.
        groups: int64 [M], of the training arrays: which samples belong together; None where each is its own.
        notes: what the user should know about how the data was prepared.
        truth: about the training arrays, where they are corrupted.
    """

    nodes: tuple[NodeData, ...]
    public_labels: NDArray[np.int64]
    public_in_distribution: NDArray[np.bool_]
    public_source: NDArray[np.int64]
    public_index: NDArray[np.int64]
    class_names: tuple[str, ...]
    content: Content
    canaries: Canaries
    notes: tuple[str, ...]
    truth: Truth | None = None
    sites: tuple[str, ...] = ()
    groups: NDArray[np.int64] | None = None

    def resplit(self, seed: int) -> NetworkData:
        """Every node's pool divided anew into as many samples to train on and to hold out; all else stays."""
        rngs = (generator(seed, "data.split", node=node) for node in range(len(self.nodes)))
        nodes = (resplit(data, self.groups, rng) for data, rng in zip(self.nodes, rngs, strict=True))
        return replace(self, nodes=tuple(nodes))

    @property
    def has_labels(self) -> bool:
        """Whether each sample has a class."""
        targets = self.nodes[0].train.targets
        return targets is not None and targets.dim() == 1 and not targets.is_floating_point()

    def save_partition(self, path: Path) -> None:
        """Write which node holds which sample, as an ``.npz`` file whose bytes depend on the data alone.

        For S in train, validation and held_out: ``S_index`` (int64, the row in the data set's training arrays),
        ``S_node`` (int64, who holds it) and ``S_label`` (int64, its class, where the task has classes); where samples
        belong to groups, ``S_group`` (int64). S may also be own_test, where nodes are tested on samples of their own.
        ``site_names`` (text) are the nodes' names, where the data name them. Further ``test_index`` (rows in the test
        arrays), the four ``public_*`` arrays of this object, ``class_names`` (text), ``classes`` (their number), and
        ``content`` (uint8 [16], the digest of the private data set's arrays); where there are canaries, the
        ``canary_*`` arrays of `Canaries.arrays`. Where there are verified samples, S may also be verified_fit and
        verified_select; a shared sample is there once for each node that has it.

        Of corrupted data also ``S_true_label`` (int64), ``S_flipped`` (bool, whether the label is wrong) and
        ``train_duplicate_of`` (int64, the row that the sample is a copy of, or -1).
        """
        arrays: dict[str, NDArray[np.generic]] = {}
        own = ("own_test",) if self.nodes[0].own_test else ()
        for path_to_split in (*SPLITS, *own, *(VERIFIED_SPLITS if self.nodes[0].verified else ())):
            held: list[Samples] = list(map(attrgetter(path_to_split), self.nodes))
            split = path_to_split.replace(".", "_")
            arrays[f"{split}_index"] = np.concatenate([samples.index.numpy() for samples in held])
            arrays[f"{split}_node"] = np.repeat(np.arange(len(held)), list(map(len, held)))
            if self.has_labels:
                arrays[f"{split}_label"] = np.concatenate(list(map(_labels, held)))
            if self.groups is not None:
                arrays[f"{split}_group"] = self.groups[arrays[f"{split}_index"]]
            if self.truth and self.has_labels and split != "own_test":
                arrays[f"{split}_true_label"] = self.truth.labels[arrays[f"{split}_index"]]
                arrays[f"{split}_flipped"] = arrays[f"{split}_label"] != arrays[f"{split}_true_label"]
        if self.truth:
            arrays["train_duplicate_of"] = self.truth.duplicate_of[arrays["train_index"]]
        for name in ("public_labels", "public_in_distribution", "public_source", "public_index"):
            arrays[name] = getattr(self, name)
        if self.nodes[0].test is not self.nodes[0].own_test:
            arrays["test_index"] = self.nodes[0].test.index.numpy()
        if self.sites:
            arrays["site_names"] = np.array(self.sites)
        arrays["class_names"] = np.array(self.class_names, dtype=np.str_)
        arrays["classes"] = np.array(len(self.class_names))
        arrays[CONTENT] = self.content.digest
        arrays |= self.canaries.arrays()
        with atomic.drafted(path) as draft, draft.open("wb") as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]


def prepare(settings: DataSettings, nodes: int, seed: int, task: Task | None = None) -> NetworkData:
    """Load the data, draw the public set, divide the rest among the nodes, and split what each node got.

    Every random choice has its own generator: the partition does not move with the validation share or with public
    sources other than the private data set, held-out samples do not move with the validation share, and neither moves
    with the verified share.

    Args:
        settings: what data, for whom.
        nodes: how many.
        seed: the experiment's.
        task: what is predicted; by default classes.

    Raises:
        InputError: a data set or a coreset cannot be loaded, there are too few samples for what is asked, or samples
            lack a modality that a node is to hold.
    """
    task = task or Classification(Classification.Config())
    private = load_private(settings.dataset, settings.root, needs_test=settings.test != "own")
    outputs = _specified(task, private)
    _check_kind(settings, private)
    drawn = draw(settings, private, seed)
    check_groups(settings, private, drawn)
    public = assemble(private, drawn, seed)
    pool = np.setdiff1d(np.arange(size(private.x_train)), public.index[public.in_distribution])
    pool = _subset(pool, settings.train_samples, generator(seed, "data.train_samples"))
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
    train = _samples(corrupted.inputs, corrupted.labels)
    test, known = _test_set(settings, private, seed)
    node_data = partial(
        NodeData,
        public=Samples(public.inputs, None, torch.arange(len(public.index))) if len(public.index) else None,
        preparation=private.kind.preparation(private.x_train, _measured(inputs, pool, rows)),
        inputs=inputs,
        outputs=outputs,
    )
    shared = [*check_overlap(settings, public, rows_of(private.x_train, pool), known, _called(inputs))]
    canaries = plant(settings.canaries, train, [mine.train for mine in rows], private.num_classes, seed)
    train = canaries.mislabelled(train)
    rows = [mine._replace(train=canaries.without_left_out(mine.train)) for mine in rows]
    held = list[NodeData]()
    for node, (mine, own, clean) in enumerate(zip(rows, own_rows, verified, strict=True)):
        on_own = brought[node] if brought else train.subset(torch.from_numpy(own)) if len(own) else None
        tested_on = test or on_own
        assert tested_on is not None  # it is one of the two
        fit, validation, held_out = (train.subset(torch.from_numpy(split)) for split in mine)
        held.append(
            node_data(
                train=fit,
                validation=validation,
                held_out=held_out,
                test=tested_on,
                own_test=on_own,
                verified=_verified(train, clean),
            )
        )
    return NetworkData(
        nodes=dealt(held, settings.modality_by_node),
        public_labels=public.labels,
        public_in_distribution=public.in_distribution,
        public_source=public.source,
        public_index=public.index,
        class_names=private.class_names,
        content=content,
        canaries=canaries,
        notes=(
            *_notes(settings, private, drawn, left_over=len(pool) - sum(map(len, parts))),
            *shared,
            *(["sites are tested on the samples that they brought for it"] if brought else []),
            *_undefined_scores(held, whose),
        ),
        truth=corrupted.truth if settings.corruption.is_on else None,
        sites=sites,
        groups=groups,
    )


def _specified(task: Task, private: ArrayData) -> OutputSpec:
    """What the network has to put out.

    Raises:
        InputError: the targets are not what the task is about.
    """
    assert private.y_train is not None  # `load_private` saw to it
    vocabulary = private.kind.specification(private.x_train).vocabulary
    return task.specify(to_tensor(private.y_train), private.class_names, vocabulary)


def _check_kind(settings: DataSettings, private: ArrayData) -> None:
    """Refuse settings that are about images where samples are none."""
    kind = private.kind.specification(private.x_train).kind
    if kind != "images" and settings.augment.is_on:
        what = f"images can be augmented, and these samples are {kind}."
        raise wrong("data.augment", what, "Remove it.")


def _test_set(settings: DataSettings, private: ArrayData, seed: int) -> tuple[Samples | None, StoredArrays]:
    """What all nodes are tested on, and its inputs; none where they are tested on samples of their own alone."""
    if settings.test == "own":
        return None, rows_of(private.x_train, np.arange(0))
    test = _samples(private.x_test, private.y_test)
    tested = _subset(np.arange(len(test)), settings.test_samples, generator(seed, "data.test_samples"))
    assert private.x_test is not None  # `load_private` saw to it
    return test.subset(torch.from_numpy(tested)), rows_of(private.x_test, tested)


def _brought_tests(settings: DataSettings, private: ArrayData, sites: Sequence[str]) -> list[Samples]:
    """The test samples that each site has brought itself, where the data tell and nodes are tested on their own."""
    if settings.test == "common" or private.test_sites is None or not sites:
        return []
    test = _samples(private.x_test, private.y_test)
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
        parts = part.divide(pool, nodes, generator(seed, "data.partition"))
        return parts, part.sites(pool, nodes, generator(seed, "data.partition"))
    except InputError as error:
        raise error.under("data.partition") from error


def _verified(train: Samples, rows: VerifiedRows | None) -> VerifiedData | None:
    return VerifiedData(*(train.subset(torch.from_numpy(half)) for half in rows)) if rows else None


def _notes(settings: DataSettings, private: ArrayData, drawn: Drawn, left_over: int) -> Iterator[str]:
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
    if left_over:
        yield f"{left_over} training samples went to no node: the partition gives all nodes the same number"


def _undefined_scores(nodes: Sequence[NodeData], whose: Sequence[str]) -> Iterator[str]:
    """Which scores a node's test samples do not have, whatever the outputs: the common ones, and its own."""
    common = {id(node.test): (node, node.test, "") for node in nodes if node.test is not node.own_test}
    own = [(node, node.own_test, f" at {name}, and left out of means") for node, name in zip(nodes, whose, strict=True)]
    for node, tested, where in (*common.values(), *own):
        if tested is None:
            continue
        targets = tested.targets_at(torch.arange(len(tested)))
        best = node.task.baseline(targets, node.outputs.width)
        if best is None or (node.inputs.vocabulary and targets.dim() > 1):  # of a token in a text, scores always are
            continue
        sums = node.task.statistics(best.expand(*targets.shape[:1], -1), targets)
        for score, why in node.task.undefined(sums, node.outputs.names).items():
            yield f"the score {score} is not defined{where}: {why}"


def _conversion(data: ArrayData, private: ArrayData) -> str:
    """What is done to public images, in words; nothing to other samples."""
    images = isinstance(data.x_train, np.ndarray) and isinstance(private.x_train, np.ndarray)
    is_done = images and isinstance(data.kind, Images)
    return conversion(data.x_train, private.x_train.shape[1:]) if is_done else ""  # type: ignore[arg-type, union-attr]


def _called(inputs: InputSpec) -> str:
    return "images" if inputs.kind == "images" else "samples"


def _samples(inputs: StoredArrays | None, targets: NDArray[Any] | None) -> Samples:
    assert inputs is not None  # `load_private` saw to both
    assert targets is not None
    return Samples(to_tensors(inputs), to_tensor(targets), torch.arange(size(inputs)))


def _labels(samples: Samples) -> NDArray[np.int64]:
    return samples.targets_at(torch.arange(len(samples))).numpy()


def _subset(rows: Indices, limit: int | None, rng: np.random.Generator) -> Indices:
    return rows if limit is None else np.sort(rng.permutation(rows)[:limit])
