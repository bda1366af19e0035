"""From the ``data`` block of an experiment to what each node holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from simulator.core import atomic
from simulator.core.errors import InputError, wrong
from simulator.core.samples import NodeData, Samples, VerifiedData
from simulator.core.seeding import generator
from simulator.data.canaries import Canaries, plant
from simulator.data.conform import conversion
from simulator.data.content import CONTENT, Content
from simulator.data.corruption import Rows, Truth, corrupt
from simulator.data.dataset import ImageData, to_tensor
from simulator.data.label_noise import true_labels
from simulator.data.loading import load_private
from simulator.data.modalities import dealt
from simulator.data.normalization import measure
from simulator.data.overlap import check_overlap
from simulator.data.partition import PARTITIONS, Indices
from simulator.data.public import Drawn, assemble, draw
from simulator.data.settings import Corruption, DataSettings, PublicSource, VerifiedSettings
from simulator.data.subset import restricted
from simulator.data.verified import VerifiedRows, set_aside

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

    def resplit(self, seed: int) -> NetworkData:
        """Every node's pool divided anew into as many samples to train on and to hold out; all else stays."""
        nodes = (_resplit(data, generator(seed, "data.split", node=node)) for node, data in enumerate(self.nodes))
        return replace(self, nodes=tuple(nodes))

    def save_partition(self, path: Path) -> None:
        """Write which node holds which sample, as an ``.npz`` file whose bytes depend on the data alone.

        For S in train, validation and held_out: ``S_index`` (int64, the row in the data set's training arrays),
        ``S_node`` (int64, who holds it) and ``S_label`` (int64, its class). Further ``test_index`` (rows in the test
        arrays), the four ``public_*`` arrays of this object, ``class_names`` (text), ``classes`` (their number), and
        ``content`` (uint8 [16], the digest of the private data set's arrays); where there are canaries, the
        ``canary_*`` arrays of `Canaries.arrays`. Where there are verified samples, S may also be verified_fit and
        verified_select; a shared sample is there once for each node that has it.

        Of corrupted data also ``S_true_label`` (int64), ``S_flipped`` (bool, whether the label is wrong) and
        ``train_duplicate_of`` (int64, the row that the sample is a copy of, or -1).
        """
        arrays: dict[str, NDArray[np.generic]] = {}
        for path_to_split in (*SPLITS, *(VERIFIED_SPLITS if self.nodes[0].verified else ())):
            held: list[Samples] = list(map(attrgetter(path_to_split), self.nodes))
            split = path_to_split.replace(".", "_")
            arrays[f"{split}_index"] = np.concatenate([samples.index.numpy() for samples in held])
            arrays[f"{split}_node"] = np.repeat(np.arange(len(held)), list(map(len, held)))
            arrays[f"{split}_label"] = np.concatenate(list(map(_labels, held)))
            if self.truth:
                arrays[f"{split}_true_label"] = self.truth.labels[arrays[f"{split}_index"]]
                arrays[f"{split}_flipped"] = arrays[f"{split}_label"] != arrays[f"{split}_true_label"]
        if self.truth:
            arrays["train_duplicate_of"] = self.truth.duplicate_of[arrays["train_index"]]
        for name in ("public_labels", "public_in_distribution", "public_source", "public_index"):
            arrays[name] = getattr(self, name)
        arrays["test_index"] = self.nodes[0].test.index.numpy()
        arrays["class_names"] = np.array(self.class_names)
        arrays["classes"] = np.array(len(self.class_names))
        arrays[CONTENT] = self.content.digest
        arrays |= self.canaries.arrays()
        with atomic.drafted(path) as draft, draft.open("wb") as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]


def prepare(settings: DataSettings, nodes: int, seed: int) -> NetworkData:
    """Load the data, draw the public set, divide the rest among the nodes, and split what each node got.

    Every random choice has its own generator: the partition does not move with the validation share or with public
    sources other than the private data set, held-out samples do not move with the validation share, and neither moves
    with the verified share.

    Raises:
        InputError: a data set or a coreset cannot be loaded, there are too few samples for what is asked, or samples
            lack a modality that a node is to hold.
    """
    private = load_private(settings.dataset, settings.root)
    drawn = draw(settings, private, seed)
    public = assemble(private, drawn, seed)
    pool = np.setdiff1d(np.arange(len(private.x_train)), public.index[public.in_distribution])
    pool = _subset(pool, settings.train_samples, generator(seed, "data.train_samples"))
    parts = _partition(settings, true_labels(private)[pool], nodes, seed)
    rows = [_split_node(settings, pool[part], node, seed) for node, part in enumerate(parts)]
    left, verified = set_aside(settings.verified, [mine.train for mine in rows], seed)
    rows = [mine._replace(train=to_train) for mine, to_train in zip(rows, left, strict=True)]
    corrupted = corrupt(settings.corruption, private, rows, seed)
    content = Content.of(private)
    left = restricted(settings.subset, content, [mine.train for mine in rows], seed)
    rows = [mine._replace(train=to_train) for mine, to_train in zip(rows, left, strict=True)]
    train, test = _samples(corrupted.images, corrupted.labels), _samples(private.x_test, private.y_test)
    tested = _subset(np.arange(len(test)), settings.test_samples, generator(seed, "data.test_samples"))
    node_data = partial(
        NodeData,
        test=test.subset(torch.from_numpy(tested)),
        public=Samples(public.images, None, torch.arange(len(public.images))) if len(public.images) else None,
        normalizer=measure(private.x_train, pool),
        classes=private.num_classes,
        channels=private.channels,
    )
    shared = [*check_overlap(settings, public, private.x_train[pool], test.images[torch.from_numpy(tested)].numpy())]
    canaries = plant(settings.canaries, train, [mine.train for mine in rows], private.num_classes, seed)
    train = canaries.mislabelled(train)
    rows = [mine._replace(train=canaries.without_left_out(mine.train)) for mine in rows]
    held = [
        node_data(*(train.subset(torch.from_numpy(split)) for split in own), verified=_verified(train, known))
        for own, known in zip(rows, verified, strict=True)
    ]
    return NetworkData(
        nodes=dealt(held, settings.modality_by_node),
        public_labels=public.labels,
        public_in_distribution=public.in_distribution,
        public_source=public.source,
        public_index=public.index,
        class_names=private.class_names,
        content=content,
        canaries=canaries,
        notes=(*_notes(settings, private, drawn, left_over=len(pool) - sum(map(len, parts))), *shared),
        truth=corrupted.truth if settings.corruption.is_on else None,
    )


def _partition(settings: DataSettings, labels: NDArray[np.int64], nodes: int, seed: int) -> list[Indices]:
    try:
        part = PARTITIONS.build(settings.partition)
        return part.split(labels, nodes, generator(seed, "data.partition"))
    except InputError as error:
        raise error.under("data.partition") from error


def _split_node(settings: DataSettings, rows: Indices, node: int, seed: int) -> Rows:
    """A node's rows for training, validation and holding out.

    The latter two come from opposite ends of one random order, so that neither's share moves the other.
    """
    order = generator(seed, "data.split", node=node).permutation(rows)
    validation, held_out = (_share(fraction, len(rows)) for fraction in (settings.validation, settings.held_out))
    if validation + held_out >= len(rows):
        used = f"{validation} for validation and {held_out} held out"
        what = f"node {node} has {len(rows)} samples: none is left to train on after {used}."
        raise wrong("data.partition", what, "Take fewer nodes, a partition of more equal sizes, or smaller shares.")
    end = len(rows) - validation
    return Rows(np.sort(order[held_out:end]), np.sort(order[end:]), np.sort(order[:held_out]))


def _resplit(data: NodeData, rng: np.random.Generator) -> NodeData:
    train, held_out = data.train, data.held_out
    order = rng.permutation(torch.cat([train.index, held_out.index]).sort().values.numpy())
    rows = (torch.from_numpy(np.sort(part)) for part in (order[len(held_out) :], order[: len(held_out)]))
    train, held_out = (replace(train, index=index) for index in rows)
    return replace(data, train=train, held_out=held_out)


def _verified(train: Samples, rows: VerifiedRows | None) -> VerifiedData | None:
    return VerifiedData(*(train.subset(torch.from_numpy(half)) for half in rows)) if rows else None


def _notes(settings: DataSettings, private: ImageData, drawn: Drawn, left_over: int) -> Iterator[str]:
    yield from private.notes
    if settings.subset and settings.held_out:
        yield (
            "audits of membership will refuse this run: the coreset (data.subset) chooses among training samples only, "
            "so held-out ones differ from members by themselves"
        )
    for source, (data, _) in zip(settings.public, drawn, strict=True):
        if data is not private:
            yield from data.notes
        done = conversion(data.x_train, private.x_train.shape[1:])
        if done:
            yield f"public images of {source.dataset.name}: {done}"
    if left_over:
        yield f"{left_over} training samples went to no node: the partition gives all nodes the same number"


def _samples(images: NDArray[np.uint8] | None, labels: NDArray[np.int64] | None) -> Samples:
    assert images is not None  # `load_private` saw to both
    assert labels is not None
    return Samples(to_tensor(images), to_tensor(labels), torch.arange(len(images)))


def _labels(samples: Samples) -> NDArray[np.int64]:
    return samples.labels_at(torch.arange(len(samples))).numpy()


def _share(fraction: float, size: int) -> int:
    return max(1, round(fraction * size)) if fraction else 0


def _subset(rows: Indices, limit: int | None, rng: np.random.Generator) -> Indices:
    return rows if limit is None else np.sort(rng.permutation(rows)[:limit])
