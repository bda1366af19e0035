"""The data of all nodes, as they are prepared, and what only an onlooker may know about them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from simulator.core import atomic
from simulator.core.own_rows import emptied, with_first, with_own_rows
from simulator.core.samples import NodeData, Samples
from simulator.core.seeding import generator
from simulator.data.canaries import Canaries
from simulator.data.content import CONTENT, Content
from simulator.data.corruption import Truth
from simulator.data.node_split import resplit
from simulator.data.sites.schema import DataSchema
from simulator.data.sites.statistics import Statistics
from simulator.data.sites.sums import Sums

SPLITS = ("train", "validation", "held_out")
VERIFIED_SPLITS = ("verified.fit", "verified.select")


@dataclass(frozen=True)
class NetworkData:
    """The data of all nodes, and what only an onlooker may know about it.

    Attributes:
        nodes: what each node sees, in order of node id; where sites keep their own data, those that were not opened
            have no samples.
        example: a node's data to try networks on: like everyone's in form, and where nodes are sites made up, so that
            it is the same wherever it is asked for.
        public_labels: int64 [P], the true class of each public image, or -1 where it comes from another data set.
        public_in_distribution: bool [P], whether the public image comes from the private data set.
        public_source: int64 [P], its source, counted in ``data.public``.
        public_index: int64 [P], its row in that source's training images.
        class_names: one name a class.
        content: what tells the private data set from any other.
        shared: identifies, as a hexadecimal number, the samples that every node must have alike: the private data set
            where it is one pool, the public set, and a common test set of sites.
        canaries: those of all nodes.
        sites: one name a node, where the data name them; or else empty.
        groups: int64 [M], of the training arrays: which samples belong together; None where each is its own.
        notes: what the user should know about how the data was prepared.
        truth: about the training arrays, where they are corrupted.
        sums: by node, where sites agree on statistics: what each one that was opened has to say of its own samples,
            without noise. It is nobody else's to see.
        statistics: what they have agreed on; None before they have, and where nothing is to be agreed on.
    """

    nodes: tuple[NodeData, ...]
    example: NodeData
    public_labels: NDArray[np.int64]
    public_in_distribution: NDArray[np.bool_]
    public_source: NDArray[np.int64]
    public_index: NDArray[np.int64]
    class_names: tuple[str, ...]
    content: Content
    shared: str
    canaries: Canaries
    notes: tuple[str, ...]
    truth: Truth | None = None
    sites: tuple[str, ...] = ()
    groups: NDArray[np.int64] | None = None
    sums: Mapping[int, Sums] = field(default_factory=dict)
    statistics: Statistics | None = None

    def normalised(self, schema: DataSchema, statistics: Statistics) -> NetworkData:
        """The same, its samples prepared by the ``statistics`` that the sites of this ``schema`` have agreed on."""
        preparation = statistics.completed(schema).preparation()
        nodes = tuple(replace(node, preparation=preparation) for node in self.nodes)
        example = replace(self.example, preparation=preparation)
        return replace(self, nodes=nodes, example=example, statistics=statistics)

    def resplit(self, seed: int) -> NetworkData:
        """Every node's pool divided anew into as many samples to train on and to hold out; all else stays."""
        rngs = (generator(seed, "data.split", node=node) for node in range(len(self.nodes)))
        nodes = (resplit(data, self.groups, rng) for data, rng in zip(self.nodes, rngs, strict=True))
        return replace(self, nodes=tuple(nodes))

    def only(self, ids: Collection[int], tried: int) -> NetworkData:
        """What has to be where the nodes ``ids`` are made: their samples, and ``tried`` ones to try networks on."""
        nodes = [node if id in ids else emptied(node) for id, node in enumerate(self.nodes)]
        *kept, example = with_own_rows([*nodes, with_first(self.example, tried)])
        return replace(self, nodes=tuple(kept), example=example, truth=None, groups=None, sums={})

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


def _labels(samples: Samples) -> NDArray[np.int64]:
    return samples.targets_at(torch.arange(len(samples))).numpy()
