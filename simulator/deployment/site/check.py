"""Whether a node's own data are what the experiment's schema says: looked at on its host, and told there alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from simulator.config.experiment import Experiment
from simulator.core.errors import InputError, Problem, wrong
from simulator.core.task import TASKS
from simulator.data.network_data import NetworkData
from simulator.data.sites.settings import SitesSettings
from simulator.data.sites.statistics import described
from simulator.data.splits import prepare
from simulator.deployment.node_folder import NodeFolder

FEW = 50  # samples to train on: fewer are easily told apart by what is learnt of them
FEW_GROUPS = 10
SPLITS = ("train", "validation", "held_out", "own_test")


@dataclass(frozen=True)
class Findings:
    """What there is to tell the owner of a site about its data.

    Attributes:
        site: its name, and which node it is.
        path: where the data lie.
        counts: how many of what, by what to call it.
        notes: what deviates, and does not keep the site from taking part.
        problems: what does.
    """

    site: str
    path: Path | None
    counts: dict[str, str]
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def examined(folder: Path) -> Findings:
    """The data of the node in ``folder``; nobody else's are opened, and nothing is written or sent.

    Raises:
        InputError: it is not the folder of a node, or one of an experiment whose data are one pool.
    """
    node_folder = NodeFolder.read(folder)
    experiment, node = node_folder.experiment(), node_folder.node
    sites, path = experiment.data.sites, None
    if sites is None:
        what = "is of an experiment whose data are one pool, which every host has: there is no site to check."
        raise wrong(str(folder), what, "Name the sites in the experiment: data.sites.")
    site = f"{sites.names[node]} (node {node})"
    try:
        path = node_folder.data_path()
        opened = {node: path}
        data = prepare(experiment.data, len(sites.names), experiment.seed, TASKS.build(experiment.task), opened)
    except InputError as error:
        return Findings(site, path, {}, problems=error.problems)
    names = [each.name for each in sites.data_schema.without_statistics]
    notes = (*data.notes, *_doubtful(experiment, data, node), *_of_statistics(sites, data, node, names))
    return Findings(site, path, dict(_counts(data, node, names)), tuple(dict.fromkeys(notes)))


def _counts(data: NetworkData, node: int, to_be_agreed_on: Sequence[str]) -> Iterator[tuple[str, str]]:
    held = data.nodes[node]
    for split in SPLITS:
        if samples := getattr(held, split):
            yield f"samples in {split.replace('_', ' ')}", f"{len(samples):,}"
    if data.groups is not None:
        yield "groups", f"{len(np.unique(data.groups)):,}"
    if data.has_labels:
        shares = zip(data.class_names, _of_classes(data, node), strict=False)
        yield "classes in train", ", ".join(f"{name}: {count:,}" for name, count in shares)
    if node in data.sums:
        shown = zip(to_be_agreed_on, data.sums[node][0].tolist(), strict=True)
        yield "told of before round 1", ", ".join(f"{name}: {count:,.0f}" for name, count in shown)


def _of_statistics(sites: SitesSettings, data: NetworkData, node: int, names: Sequence[str]) -> Iterator[str]:
    """What the site would tell before round 1, where sites agree on statistics."""
    if (settings := sites.statistics) is None:
        return
    protected = "without noise" if settings.noise_multiplier is None else f"with noise that protects a {settings.unit}"
    yield f"counts, sums and sums of squares of {described(names)} are told before round 1, {protected}"
    if lacking := [name for name, count in zip(names, data.sums[node][0], strict=True) if not count]:
        yield f"there is no number to train on in {described(lacking)}: the others decide on its mean and deviation"


def _of_classes(data: NetworkData, node: int) -> list[int]:
    """How many training samples there are of each class."""
    train = data.nodes[node].train
    labels = train.targets_at(torch.arange(len(train)))
    return torch.bincount(labels, minlength=len(data.class_names)).tolist()


def _doubtful(experiment: Experiment, data: NetworkData, node: int) -> Iterator[str]:
    train, batch = data.nodes[node].train, experiment.training.of(node).batch_size
    if data.has_labels:
        without = [name for name, n in zip(data.class_names, _of_classes(data, node), strict=False) if not n]
        if without:
            yield f"no sample to train on is of the class {', '.join(without)}, which others may have"
    if len(train) < FEW:
        yield f"{len(train):,} samples to train on are few: what is learnt of them can be told apart easily"
    if len(train) < batch:
        yield f"a batch of {batch} is more than there are to train on: all of them are taken at every step"
    if data.groups is not None and (groups := len(np.unique(data.groups))) < FEW_GROUPS:
        yield f"{groups} groups are few: no split cuts them, so shares of samples are rough"
