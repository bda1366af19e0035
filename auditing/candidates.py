"""Candidates: the samples whose membership is asked, members and non-members from the same node's pool.

Were non-members taken from elsewhere, such as the test set, an attack could win by telling the pools apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auditing.questions import Questions
from auditing.shuffled import Shuffled
from simulator.config.experiment import Experiment
from simulator.core.arrays import mapped
from simulator.core.errors import InputError, Problem, wrong
from simulator.core.node import Node
from simulator.core.samples import Samples
from simulator.core.seeding import generator
from simulator.core.task import Task
from simulator.data.copies import copied
from simulator.data.stored import to_numpy

NONE = np.empty(0, dtype=np.int64)
NOTHING_HELD_OUT = Problem(
    "data.held_out",
    "no samples were held out in this run, so there are no non-members to compare with.",
    "Run it again with, for example, data.held_out=0.5.",
)


@dataclass(frozen=True)
class Candidates:
    """Members and non-members of all nodes.

    Attributes:
        samples: all of them, N.
        node: int64 [N], whose pool each comes from: the victim.
        member: bool [N], whether that node trained on it.
        group: int64 [N], which samples belong together; None where each is on its own.
    """

    samples: Samples
    node: NDArray[np.int64]
    member: NDArray[np.bool_]
    group: NDArray[np.int64] | None = None

    @classmethod
    def of(
        cls,
        nodes: Sequence[Node],
        limit: int,
        planted: NDArray[np.int64] = NONE,
        groups: NDArray[np.int64] | None = None,
        of_group: int | None = None,
    ) -> Candidates:
        """The candidates of each node: at most ``limit`` training samples and as many held-out ones, by the run's seed.

        As many of one kind as of the other, lest nodes with few non-members weigh more among members than among
        non-members: then whoever tells nodes apart would tell members, too. Of groups, whole ones are taken, or samples
        of them, of as many groups of members as of non-members.

        Args:
            nodes: whose samples.
            limit: of members, and of non-members.
            planted: rows of the training arrays that are no candidates; see `planted_in`.
            groups: int64 [rows of the training arrays], to which group each belongs, if they have any; see `groups_in`.
            of_group: take at most this many samples of each group, by the run's seed; None for all.

        Raises:
            InputError: the run held no samples out, or only a part of a group.
        """
        parts: list[tuple[int, bool, torch.Tensor]] = []
        for node in nodes:
            pool = {
                member: samples.index[~torch.isin(samples.index, torch.from_numpy(planted))]
                for member, samples in ((True, node.data.train), (False, node.data.held_out))
            }
            if groups is not None:
                _check_whole(node.id, *(groups[index.numpy()] for index in pool.values()))
            shuffled = {member: Shuffled.of(index, groups, member, node, of_group) for member, index in pool.items()}
            size = min(units.within(limit) for units in shuffled.values())
            parts += [(node.id, member, units.first(size)) for member, units in shuffled.items()]
        if not all(len(index) for _, _, index in parts):
            raise InputError(NOTHING_HELD_OUT)
        sizes, rows = [len(index) for _, _, index in parts], torch.cat([index for _, _, index in parts])
        train = nodes[0].data.train
        return cls(
            Samples(train.inputs, train.targets, rows),
            np.repeat([node for node, _, _ in parts], sizes),
            np.repeat([member for _, member, _ in parts], sizes),
            None if groups is None else groups[rows.numpy()],
        )

    def __len__(self) -> int:
        return len(self.samples)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What a file says of them: ``node``, ``member`` and ``index`` (rows of the training arrays), all [N]."""
        return {"node": self.node, "member": self.member, "index": self.samples.index.numpy()}

    def copied(self, nodes: Sequence[Node]) -> int:
        """How many are exact copies of a sample that is on the other side, at any of these ``nodes``.

        A non-member that some node has trained on under another number is known as members are.
        """
        sides = {
            True: torch.cat([node.data.held_out.index for node in nodes]),
            False: torch.cat([node.data.train.index for node in nodes]),
        }
        inputs, rows = to_numpy(mapped(self.samples.inputs, Tensor.cpu)), self.samples.index.numpy()
        found = [copied((inputs, rows[self.member == side]), (inputs, each.numpy())) for side, each in sides.items()]
        return sum(int(each.sum()) for each in found)

    @property
    def questions(self) -> Questions:
        """What is asked: one question about each candidate, or about each group of a node's candidates."""
        return Questions.about(self.node, self.member, self.group)


def groups_in(partition: Mapping[str, NDArray[Any]]) -> NDArray[np.int64] | None:
    """The group of each row of a run's training arrays, int64 [rows], from its ``partition.npz``; None without groups.

    Rows that are neither members nor non-members have -1.
    """
    if "train_group" not in partition:
        return None
    rows = {split: partition[f"{split}_index"] for split in ("train", "held_out")}
    found = np.full(1 + max(int(index.max(initial=-1)) for index in rows.values()), -1)
    for split, index in rows.items():
        found[index] = partition[f"{split}_group"]
    return found


def _check_whole(node: int, members: NDArray[np.int64], others: NDArray[np.int64]) -> None:
    """Refuse groups that are on both sides: what is known of one half tells of the other."""
    if len(cut := np.intersect1d(members, others)):
        what = f"{len(cut)} groups of node {node} are among members and among non-members, such as group {cut[0]}."
        raise wrong("partition.npz", what, "Run it again with the groups declared, so that none is cut.")


def planted_in(partition: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
    """The rows of a run's training arrays that were planted among members only, int64 [K], from its ``partition.npz``.

    Canaries, and both samples of a pair of duplicates: their labels alone would tell them from non-members.
    """
    copied = partition.get("train_duplicate_of", NONE)
    copies = partition["train_index"][: len(copied)][copied >= 0]
    return np.concatenate([partition.get("canary_index", NONE), copies, copied[copied >= 0]])


def not_comparable(experiment: Experiment) -> Iterator[Problem]:
    """What keeps members and non-members of a run from being compared.

    There may be no non-members; or members were chosen among training samples by a score that held-out samples do not
    have, so that a model that saw no sample of a node could tell them apart.
    """
    if experiment.data.held_out == 0:
        yield NOTHING_HELD_OUT
    if experiment.data.subset is not None:
        what = "members are a coreset, chosen by scores that held-out samples do not have: they differ by themselves."
        yield Problem("data.subset", what, "Audit a run on all of its training samples (data.subset=null).")


def population_of(samples: Samples, limit: int | None, seed: int) -> Samples:
    """A population: at most ``limit`` of ``samples``, which nobody trained on, by the run's seed; all if it is None."""
    chosen = generator(seed, "audit.population").permutation(len(samples))[:limit]
    return samples.subset(torch.from_numpy(np.sort(chosen)))


def labels_of(samples: Samples) -> NDArray[np.int64]:
    """The class of each of the N ``samples``, int64 [N]."""
    return samples.targets_at(torch.arange(len(samples))).numpy()


def classes_of(samples: Samples, task: Task) -> NDArray[np.int64]:
    """The class of each of the N ``samples``, int64 [N]; 0 of all where the ``task`` has no classes."""
    return labels_of(samples) if task.has_classes else np.zeros(len(samples), dtype=np.int64)
