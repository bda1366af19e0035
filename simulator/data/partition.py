"""How the training samples are divided among the nodes."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from simulator.core.errors import did_you_mean, wrong
from simulator.core.registry import Part, PartSettings, Registry
from simulator.data.alike import pairs
from simulator.data.origin import Pool

Indices = NDArray[np.int64]


class Partition(Part, ABC):
    """A way to divide samples, chosen by name.

    Attributes:
        by_class: whether it looks at the samples' classes, so that there must be such.
    """

    by_class: ClassVar[bool] = False

    def divide(self, pool: Pool, nodes: int, rng: np.random.Generator) -> list[Indices]:
        """Divide ``pool``; where samples belong to groups, whole groups, each by its most common label.

        Returns:
            One array of positions in the pool a node, in order of node id; no position is given twice.

        Raises:
            InputError: as `split`.
        """
        if pool.groups is None:
            return self.split(pool.labels, nodes, rng)
        _, unit = np.unique(pool.groups, return_inverse=True)
        labels = _most_common(unit, pool.labels)
        parts = checked_parts(self.split(labels, nodes, rng), len(labels), nodes)
        return [np.flatnonzero(np.isin(unit, part)) for part in parts]

    def sites(self, pool: Pool, nodes: int, rng: np.random.Generator) -> tuple[str, ...]:
        """The name of each node, where the data name them; empty where they do not."""
        return ()

    @abstractmethod
    def split(self, labels: NDArray[np.int64], nodes: int, rng: np.random.Generator) -> list[Indices]:
        """Divide the samples that have these labels.

        Args:
            labels: int64 [N], all 0 where samples have no classes.
            nodes: number of nodes.
            rng: the only source of randomness.

        Returns:
            One array of positions in ``labels`` a node, in order of node id; no position is given twice.

        Raises:
            InputError: the samples cannot be divided this way, for example because there are fewer than nodes.
        """


PARTITIONS: Registry[Partition] = Registry("partitions")


def checked_parts(parts: Sequence[Indices], positions: int, nodes: int) -> list[Indices]:
    """``parts`` as int64, which a stranger's partition may give otherwise than is promised.

    Args:
        parts: as `Partition.divide` gives them.
        positions: how many there are to divide.
        nodes: number of nodes.

    Raises:
        InputError: they are not one array of whole numbers a node, or a position is there twice, or not at all.
    """
    if isinstance(parts, Mapping) or len(parts) != nodes:
        what = f"the partition gives {type(parts).__name__} of {len(parts)}, for {nodes} nodes."
        raise wrong("", what, "Return a list with one array of positions a node, in order of node id.")
    found = [np.asarray(part) for part in parts]
    for node, part in enumerate(found):
        if part.ndim != 1 or (part.size and part.dtype.kind not in "iu"):
            what = f"the partition gives node {node} {part.dtype} of shape {part.shape}, and no positions."
            raise wrong("", what, "Return positions, int64; of a mask, those are numpy.flatnonzero(mask).")
    given = np.concatenate([np.empty(0, dtype=np.int64), *(part.astype(np.int64) for part in found)])
    if given.size and (given.min() < 0 or given.max() >= positions):
        what = f"the partition gives positions from {given.min()} to {given.max()}."
        raise wrong("", what, f"There are {positions} to divide: count from 0 to {positions - 1}.")
    if twice := int((np.bincount(given, minlength=1) > 1).sum()):
        what = f"the partition gives {twice:,} positions more than once, such as {np.bincount(given).argmax()}."
        raise wrong("", what, "Give each position to one node, once: what is at two nodes is nobody's own.")
    return [part.astype(np.int64, copy=False) for part in found]


class BySite(Partition):
    """Nodes are the sites that the data name: each holds what its site brought, as much or as little as that is."""

    class Config(PartSettings):
        """Which sites.

        Attributes:
            sites: "all" of them, in the order of their names; "sample", as many as there are nodes, drawn by the seed;
                or their names, one a node.
        """

        name: str = "by_site"
        sites: Literal["all", "sample"] | tuple[str, ...] = "all"

    config: Config

    def divide(self, pool: Pool, nodes: int, rng: np.random.Generator) -> list[Indices]:
        """What each site brought.

        Raises:
            InputError: the data name no sites, there is no such site, there are more or fewer of them than nodes, one
                has no samples, or a group has samples at several of them.
        """
        if pool.sites is None:
            what = "the data set does not say which site a sample comes from."
            raise wrong("", what, "Name the column or the folders that tell, or take another partition.")
        numbers = [pool.site_names.index(name) for name in self.sites(pool, nodes, rng)]
        parts = [np.flatnonzero(pool.sites == number) for number in numbers]
        for number, part in zip(numbers, parts, strict=True):
            if not len(part):
                what = f"the site {pool.site_names[number]} has no samples to train on."
                raise wrong("sites", what, "Leave it out.")
        if pool.groups is not None:
            held = np.concatenate([np.unique(pool.groups[part]) for part in parts])
            groups, times = np.unique(held, return_counts=True)
            if len(divided := groups[times > 1]):
                held_by = zip(numbers, parts, strict=True)
                at = [pool.site_names[number] for number, part in held_by if divided[0] in pool.groups[part]]
                what = f"{len(divided):,} groups have samples at more than one site, such as one at {' and '.join(at)}"
                what = f"{what}, and groups are never cut."
                raise wrong("", what, "Give a group that moves another number at each site, or leave the groups out.")
        return parts

    def sites(self, pool: Pool, nodes: int, rng: np.random.Generator) -> tuple[str, ...]:
        """The sites that are taken, by node."""
        known, asked = pool.site_names, self.config.sites
        if asked == "sample" and len(known) >= nodes:
            return tuple(known[number] for number in sorted(rng.permutation(len(known))[:nodes]))
        chosen = known if isinstance(asked, str) else asked
        for name in chosen:
            if name not in known:
                raise wrong("sites", f"there is no site {name!r}.", did_you_mean(name, list(known), "sites"))
        if len(chosen) != nodes or len(set(chosen)) != len(chosen):
            doubts = "".join(f"; {doubt}" for doubt in pairs("sites", chosen))
            what = f"there are {len(chosen)} sites and {nodes} nodes{doubts}."
            more = " or set partition.sites: sample to draw as many as there are nodes" if len(chosen) > nodes else ""
            raise wrong("sites", what, f"Set topology.nodes: {len(chosen)},{more} or name one site a node.")
        return tuple(chosen)

    def split(self, labels: NDArray[np.int64], nodes: int, rng: np.random.Generator) -> list[Indices]:
        """Labels alone do not tell sites apart.

        Raises:
            InputError: always.
        """
        return self.divide(Pool(labels), nodes, rng)


class Iid(Partition):
    """Every node gets floor(N / nodes) samples drawn at random; the fewer than ``nodes`` left over go to nobody."""

    class Config(PartSettings):
        """There is nothing to choose."""

        name: str = "iid"

    config: Config

    def split(self, labels: NDArray[np.int64], nodes: int, rng: np.random.Generator) -> list[Indices]:
        """Equal parts of a random order."""
        _require(len(labels), nodes, nodes)
        return _equal_parts(rng.permutation(len(labels)), nodes)


class Dirichlet(Partition):
    """Label skew by Dirichlet draws, as in Quasi-Global Momentum (Lin et al. 2021, arXiv:2102.04761) and IDKD.

    Nodes are taken in groups of ten, each with its share of the shuffled samples. Within a group of w workers and S
    samples every class is divided by p ~ Dir(alpha 1_w), in which workers that already hold S / w samples are set to
    zero; the group is drawn again until the smallest worker has half of S / w. The workers' samples are then strung
    together and cut anew into equal parts of floor(N / nodes), so every node has as many samples as any other, and the
    fewer than ``nodes`` left over go to nobody.
    """

    class Config(PartSettings):
        """How unequally classes are shared out, and whether nodes keep their place.

        Attributes:
            alpha: concentration; 10 is nearly iid, 0.1 leaves a node about three classes in effect.
            permute_nodes: hand out the parts in random order. Neighbouring parts share the label mass of the worker
                they were cut from, so without it nodes with adjacent ids, the neighbours on a ring, are more alike than
                chance would have it.
            max_retries: how often a group is drawn before giving up.
        """

        name: str = "dirichlet"
        alpha: float = Field(gt=0)
        permute_nodes: bool = True
        max_retries: int = Field(default=10_000, ge=1)

    config: Config

    by_class = True
    group_size = 10

    def split(self, labels: NDArray[np.int64], nodes: int, rng: np.random.Generator) -> list[Indices]:
        """Equal parts, each with its own mixture of classes.

        Raises:
            InputError: fewer samples than nodes, or no draw in ``max_retries`` gave every worker enough.
        """
        _require(len(labels), nodes, nodes)
        order = rng.permutation(len(labels))
        firsts = range(0, nodes, self.group_size)
        workers = [min(self.group_size, nodes - first) for first in firsts]
        groups = np.split(order, [len(labels) * first // nodes for first in firsts[1:]])
        strung = [self._divide(labels, group, w, rng) for group, w in zip(groups, workers, strict=True)]
        parts = _equal_parts(np.concatenate(strung), nodes)
        return [parts[i] for i in rng.permutation(nodes)] if self.config.permute_nodes else parts

    def _divide(self, labels: NDArray[np.int64], group: Indices, workers: int, rng: np.random.Generator) -> Indices:
        """The samples of a group, those of its first worker first."""
        by_class = [group[labels[group] == label] for label in np.unique(labels[group])]
        cuts = self._cuts([len(members) for members in by_class], workers, rng)
        pieces = [np.split(members, inner) for members, inner in zip(by_class, cuts, strict=True)]
        return np.concatenate([piece[worker] for worker in range(workers) for piece in pieces])

    def _cuts(self, class_sizes: list[int], workers: int, rng: np.random.Generator) -> list[Indices]:
        for _ in range(self.config.max_retries):
            cuts = _draw_cuts(class_sizes, workers, self.config.alpha, rng)
            if cuts is not None:
                return cuts
        tried = f"{self.config.max_retries} draws with alpha {self.config.alpha}"
        what = f"none of {tried} gave each of {workers} workers enough samples."
        raise wrong("alpha", what, "Take a larger alpha, fewer nodes or more retries (max_retries).")


class Shards(Partition):
    """Samples sorted by label and cut into shards that are dealt at random (McMahan et al. 2017, arXiv:1602.05629).

    There are ``nodes * shards_per_node`` shards. They differ in size by one sample at most, and every sample goes to a
    node.
    """

    class Config(PartSettings):
        """How many shards of sorted labels a node gets.

        Attributes:
            shards_per_node: about the largest number of classes a node sees.
        """

        name: str = "shards"
        shards_per_node: int = Field(default=2, ge=1)

    config: Config

    by_class = True

    def split(self, labels: NDArray[np.int64], nodes: int, rng: np.random.Generator) -> list[Indices]:
        """A random hand of shards a node."""
        count = nodes * self.config.shards_per_node
        _require(len(labels), nodes, count)
        shuffled = rng.permutation(len(labels))
        shards = np.array_split(shuffled[np.argsort(labels[shuffled], kind="stable")], count)
        hands = rng.permutation(count).reshape(nodes, -1)
        return [np.concatenate([shards[i] for i in hand]) for hand in hands]


class QuantitySkew(Partition):
    """Nodes differ in how much they hold, not in what (Li et al. 2022, arXiv:2102.02079).

    Every node gets ``min_samples``; the rest is divided in proportions drawn from Dir(alpha). Every sample goes to a
    node.
    """

    class Config(PartSettings):
        """How unequally many samples nodes get.

        Attributes:
            alpha: concentration; the smaller, the more unequal.
            min_samples: what every node has at least.
        """

        name: str = "quantity_skew"
        alpha: float = Field(gt=0)
        min_samples: int = Field(default=10, ge=1)

    config: Config

    def split(self, labels: NDArray[np.int64], nodes: int, rng: np.random.Generator) -> list[Indices]:
        """Unequal parts of a random order."""
        least = self.config.min_samples
        _require(len(labels), nodes, nodes * least)
        shares = np.cumsum(rng.dirichlet(np.full(nodes, self.config.alpha)))[:-1]
        spare = len(labels) - nodes * least
        cuts = np.round(shares * spare).astype(np.int64) + least * np.arange(1, nodes)
        return list(np.split(rng.permutation(len(labels)), cuts))


def _most_common(unit: Indices, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64 [units]: of the samples of each unit the most common label; of several, the smallest."""
    pairs, counts = np.unique(np.stack([unit, labels]), axis=1, return_counts=True)
    order = np.lexsort((pairs[1], -counts, pairs[0]))
    _, firsts = np.unique(pairs[0][order], return_index=True)
    return np.asarray(pairs[1][order][firsts])


def _require(samples: int, nodes: int, needed: int) -> None:
    if samples < needed:
        what = f"{samples} samples cannot be divided among {nodes} nodes: at least {needed} are needed."
        raise wrong("", what, "Take fewer nodes, or leave more samples to them.")


def _equal_parts(order: Indices, nodes: int) -> list[Indices]:
    size = len(order) // nodes
    return list(order[: size * nodes].reshape(nodes, size))


def _draw_cuts(class_sizes: list[int], workers: int, alpha: float, rng: np.random.Generator) -> list[Indices] | None:
    """Where to cut each class between the workers; None where a worker ends up with too little."""
    fair = sum(class_sizes) / workers
    held = np.zeros(workers, dtype=np.int64)
    cuts = []
    for size, drawn in zip(class_sizes, rng.dirichlet(np.full(workers, alpha), len(class_sizes)), strict=True):
        shares = np.where(held < fair, drawn, 0)
        if not shares.sum() > 0:  # a tiny alpha can put all of its mass on workers that have enough
            return None
        ends = (np.cumsum(shares / shares.sum()) * size).astype(np.int64)[:-1]
        held += np.diff(ends, prepend=0, append=size)
        cuts.append(ends)
    return cuts if held.min() >= math.floor(fair / 2) else None
