"""Candidates: the samples whose membership is asked, members and non-members from the same node's pool.

Were non-members taken from elsewhere, such as the test set, an attack could win by telling the pools apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from simulator.config.experiment import Experiment
from simulator.core import atomic
from simulator.core.errors import InputError, wrong
from simulator.core.node import Node
from simulator.core.samples import Samples
from simulator.core.seeding import generator

NONE = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class Candidates:
    """Members and non-members of all nodes.

    Attributes:
        samples: all of them, N.
        node: int64 [N], whose pool each comes from: the victim.
        member: bool [N], whether that node trained on it.
    """

    samples: Samples
    node: NDArray[np.int64]
    member: NDArray[np.bool_]

    @classmethod
    def of(cls, nodes: Sequence[Node], limit: int, planted: NDArray[np.int64] = NONE) -> Candidates:
        """Of each node at most ``limit`` training samples and as many held-out ones, drawn by the run's seed.

        As many of one kind as of the other, lest nodes with few non-members weigh more among members than among
        non-members: then whoever tells nodes apart would tell members, too.

        Args:
            nodes: whose samples.
            limit: of members, and of non-members.
            planted: rows of the training arrays that are no candidates; see `planted_in`.

        Raises:
            InputError: the run held no samples out.
        """
        parts: list[tuple[int, bool, torch.Tensor]] = []
        for node in nodes:
            pool = {
                member: samples.index[~torch.isin(samples.index, torch.from_numpy(planted))]
                for member, samples in ((True, node.data.train), (False, node.data.held_out))
            }
            size = min(limit, *map(len, pool.values()))
            for member, index in pool.items():
                rng = generator(node.seed, f"audit.candidates.{member}", node=node.id)
                chosen = np.sort(rng.permutation(len(index))[:size])
                parts.append((node.id, member, index[torch.from_numpy(chosen)]))
        if not all(len(index) for _, _, index in parts):
            raise nothing_held_out()
        sizes = [len(index) for _, _, index in parts]
        train = nodes[0].data.train
        return cls(
            Samples(train.images, train.labels, torch.cat([index for _, _, index in parts])),
            np.repeat([node for node, _, _ in parts], sizes),
            np.repeat([member for _, member, _ in parts], sizes),
        )

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def labels(self) -> NDArray[np.int64]:
        """int64 [N], their classes."""
        return labels_of(self.samples)

    def save(self, path: Path, signals: Mapping[str, NDArray[np.float64]], models: Sequence[str]) -> None:
        """Write an ``.npz`` file.

        It holds ``node``, ``member`` and ``index`` (rows of the training arrays), all [N]; ``signals`` by name,
        [models, N]; and ``model``, text [models].
        """
        about = {"node": self.node, "member": self.member, "index": self.samples.index.numpy()}
        with atomic.drafted(path) as draft, draft.open("wb") as stream:
            np.savez(stream, **about, model=np.array(models), **signals)  # type: ignore[arg-type]

    @property
    def strata(self) -> NDArray[np.int64]:
        """int64 [N]: the same number for candidates of the same node and membership."""
        return 2 * self.node + self.member


def planted_in(partition: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
    """int64 [K]: the rows of a run's training arrays that were planted among members only; of its ``partition.npz``.

    Canaries, and both samples of a pair of duplicates: their labels alone would tell them from non-members.
    """
    copied = partition.get("train_duplicate_of", NONE)
    copies = partition["train_index"][: len(copied)][copied >= 0]
    return np.concatenate([partition.get("canary_index", NONE), copies, copied[copied >= 0]])


def check_exchangeable(experiment: Experiment) -> None:
    """Refuse a run in which a model that saw no sample of a node could tell members from non-members.

    Raises:
        InputError: its members were chosen among training samples by a score that held-out samples do not have.
    """
    if experiment.data.subset is not None:
        what = "members are a coreset, chosen by scores that held-out samples do not have: they differ by themselves."
        raise wrong("data.subset", what, "Audit a run on all of its training samples (data.subset=null).")


def population_of(samples: Samples, limit: int | None, seed: int) -> Samples:
    """At most ``limit`` of ``samples``, which nobody trained on, drawn by the run's seed; all if it is None."""
    chosen = generator(seed, "audit.population").permutation(len(samples))[:limit]
    return samples.subset(torch.from_numpy(np.sort(chosen)))


def nothing_held_out() -> InputError:
    """What is wrong with a run without non-members."""
    what = "no samples were held out in this run, so there are no non-members to compare with."
    return wrong("data.held_out", what, "Run it again with, for example, data.held_out=0.5.")


def labels_of(samples: Samples) -> NDArray[np.int64]:
    """int64 [N], the classes of ``samples``."""
    return samples.labels_at(torch.arange(len(samples))).numpy()
