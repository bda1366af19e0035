"""What makes no sense, or cannot be, where each node opens its own data alone: told before anything is read."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.core.errors import Problem
from simulator.data.dataset import DATASETS
from simulator.data.partition import BySite
from simulator.data.settings import DataSettings
from simulator.data.sites.settings import SitesSettings
from simulator.data.sites.statistics import described

SITES = "data.sites"
REMOVE = "Remove it, or data.sites, for one pool of data that every node can read."


def problems(settings: DataSettings, sites: SitesSettings, nodes: int) -> Iterator[Problem]:
    """Everything that is wrong with the settings of sites, by setting."""
    if len(sites.names) != nodes:
        what = f"there are {len(sites.names)} sites and {nodes} nodes."
        yield Problem(f"{SITES}.names", what, f"Set topology.nodes: {len(sites.names)}, or name one site a node.")
    yield from _of_the_pool(settings)
    yield from _of_the_test(settings, sites)
    yield from _of_the_data_set(settings, sites)
    yield from _of_the_statistics(sites)


def _of_the_pool(settings: DataSettings) -> Iterator[Problem]:
    """What is decided over the samples of all nodes together."""
    partition = settings.partition
    if not isinstance(partition, BySite.Config) or partition.sites != "all":
        what = f"'{partition.name}' divides samples, and here each site has its own."
        yield Problem("data.partition", what, "Remove it: nodes are the sites, in the order of data.sites.names.")
    refused = {
        "data.train_samples": (settings.train_samples, "it draws from the samples of all nodes together."),
        "data.subset": (settings.subset, "a coreset is of one pool of samples, and here there is none."),
        "data.corruption": (settings.corruption.is_on, "labels are made wrong in one order over all nodes' samples."),
        "data.verified.shared": (settings.verified and settings.verified.shared, "sites give no samples to others."),
        "data.canaries": (
            settings.canaries.marked,
            "marks are dealt out over all nodes' canaries.",
        ),
        "data.modality_by_node": (settings.modality_by_node, "no data set that is read site by site has modalities."),
    }
    for where, (given, what) in refused.items():
        if given:
            yield Problem(where, what, REMOVE)


def _of_the_test(settings: DataSettings, sites: SitesSettings) -> Iterator[Problem]:
    if settings.test != "own" and sites.test is None:
        what = "there is no common test set."
        yield Problem("data.test", what, "Name one, which all hosts have: data.sites.test; or set data.test: own.")
    if settings.test == "own" and sites.test is not None:
        what = "has no effect with data.test: own."
        yield Problem(f"{SITES}.test", what, "Set data.test: both or common, or leave it out.")


def _of_the_statistics(sites: SitesSettings) -> Iterator[Problem]:
    lacking, agreed = sites.data_schema.without_statistics, sites.statistics
    if lacking and agreed is None:
        what = f"nothing says how to normalise {described([each.name for each in lacking])}."
        advice = (
            "Declare mean and std, such as those of published data; or let the sites agree on them before round 1: "
        )
        yield Problem(f"{SITES}.data_schema", what, f"{advice}data.sites.statistics: agreed.")
    elif agreed is not None and not lacking:
        what = "there is nothing to agree on: the schema declares all mean and std, or nothing is normalised."
        yield Problem(f"{SITES}.statistics", what, "Remove it, or leave out mean and std of what is to be agreed on.")
    elif agreed is not None and agreed.noise_multiplier is not None:
        if without := [each.name for each in lacking if each.range is None]:
            what = f"noise is sized by the range of a quantity, and none is declared of {described(without)}."
            advice = "Declare what is known beforehand, range: [LEAST, LARGEST], and never what the data have."
            yield Problem(f"{SITES}.data_schema", what, advice)
    elif vain := [column.name for column in getattr(sites.data_schema, "columns", ()) if column.range is not None]:
        what = f"a range has no effect without noise: {described(vain)}."
        yield Problem(f"{SITES}.data_schema", what, "Remove it, or set data.sites.statistics.noise_multiplier.")


def _of_the_data_set(settings: DataSettings, sites: SitesSettings) -> Iterator[Problem]:
    part = DATASETS.load(settings.dataset.name)
    if part.site_suffixes is None:
        what = f"'{settings.dataset.name}' reads the data of all nodes at once."
        known = [name for name in ("table", "npz", "image_folder") if name in DATASETS.names()]
        yield Problem("data.dataset", what, f"Take one that can be read site by site: {', '.join(known)}.")
        return
    for found in part.site_problems(settings.dataset, sites.data_schema):
        yield Problem(".".join(filter(None, ("data.dataset", found.where))), found.what, found.advice)
    for number, source in enumerate(settings.public):
        if source.dataset == settings.dataset:
            what = "it is the sites' own data, and they give no samples to others."
            yield Problem(f"data.public[{number}].dataset", what, "Take another data set, which all hosts have.")
