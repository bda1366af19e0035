"""Nodes that are sites: what they share comes from the schema, and each opens its own data and no other's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from simulator.core.errors import InputError, Problem
from simulator.core.samples import NodeData, Samples
from simulator.core.seeding import generator
from simulator.core.task import Task
from simulator.data.canaries import Canaries
from simulator.data.common import Common, check_kind, samples_of, specified, subset_of
from simulator.data.content import Content
from simulator.data.copies import told_copies, told_shared
from simulator.data.corruption import Rows
from simulator.data.dataset import ArrayData
from simulator.data.network_data import NetworkData
from simulator.data.public import assemble, draw
from simulator.data.settings import DataSettings
from simulator.data.sites.opening import open_common_test, paths_of, unnamed
from simulator.data.sites.refusals import problems
from simulator.data.sites.settings import SitesSettings
from simulator.data.sites.site import Site, SiteDataError, opened_site, own_words
from simulator.data.sites.sums import Sums, own_sums
from simulator.data.sites.together import Together, joined_canaries, joined_groups
from simulator.data.undefined_scores import undefined_scores
from simulator.data.verified import VerifiedRows

TRIED = 8  # made-up samples


def prepare_sites(
    settings: DataSettings,
    sites: SitesSettings,
    nodes: int,
    seed: int,
    task: Task,
    opened: Mapping[int, Path] | None,
) -> NetworkData:
    """What each node holds: the site of its place in ``sites.names``.

    Rows count within the arrays of the sites that are opened, see `Together`. Apart from that a node's
    samples, their splits and their order are the same whoever else is opened.

    Args:
        settings: the block ``data``.
        sites: of it.
        nodes: how many.
        seed: the experiment's.
        task: what is predicted.
        opened: the paths of the data to open, by node; None: of all, as `paths_of` finds them.

    Raises:
        InputError: settings do not go together, or what all share cannot be loaded.
        SiteDataError: the data of sites cannot be used; with all that is wrong at each of them.
    """
    if found := list(problems(settings, sites, nodes)):
        raise InputError(*found)
    common, told = _common(settings, sites, seed, task)
    paths = paths_of(settings) if opened is None else opened
    told += unnamed(settings) if opened is None else ()
    held, wrongs = dict[int, Site](), list[Problem]()
    for node, path in sorted(paths.items()):
        try:
            held[node] = opened_site(settings, common, path, node, seed)
        except SiteDataError as error:
            wrongs += error.problems
    if wrongs:
        raise SiteDataError(*wrongs)
    return _together(settings, sites, common, held, told)


def _common(settings: DataSettings, sites: SitesSettings, seed: int, task: Task) -> tuple[Common, list[str]]:
    """What all share, without a look at any site's data, and what to tell of it."""
    none = _made_up(sites, 0)
    check_kind(settings, none.kind.specification(none.x_train))
    drawn = draw(settings, none, seed)
    tested, notes = open_common_test(settings, sites)
    if tested is not None:
        rows = subset_of(np.arange(len(tested)), settings.test_samples, generator(seed, "data.test_samples"))
        tested = tested.subset(torch.from_numpy(rows))
    common = Common(
        inputs=none.kind.specification(none.x_train),
        outputs=specified(task, _made_up(sites, max(TRIED, len(sites.data_schema.target.names)))),
        preparation=sites.data_schema.preparation(),
        public=assemble(none, drawn, seed),
        test=tested,
    )
    return common, [*notes, *(note for data, _ in drawn for note in data.notes)]


def _made_up(sites: SitesSettings, count: int) -> ArrayData:
    """So many samples that could be a site's."""
    schema = sites.data_schema
    inputs = schema.made_up(count, generator(0, "data.sites.made_up"))
    return ArrayData(inputs, schema.target.made_up(count), None, None, schema.target.names, kind=schema.input_kind())


def _together(
    settings: DataSettings, sites: SitesSettings, common: Common, held: Mapping[int, Site], told: Sequence[str]
) -> NetworkData:
    none = _made_up(sites, 0)
    together = Together.of([none, *(site.data for site in held.values())])  # where nothing is opened, of the same form
    canaries = joined_canaries(list(held.values()), together.firsts[1:])
    samples = canaries.planted(together.samples)
    firsts = dict(zip(held, zip(together.firsts[1:], together.test_firsts[1:], strict=True), strict=True))
    nodes = [
        _node(settings, common, samples, canaries, held[node], *firsts[node])
        if node in held
        else _unopened(settings, common, samples)
        for node in range(len(sites.names))
    ]
    labels = common.public.labels
    return NetworkData(
        nodes=tuple(nodes),
        example=_example(settings, sites, common),
        public_labels=labels,
        public_in_distribution=common.public.in_distribution,
        public_source=common.public.source,
        public_index=common.public.index,
        class_names=sites.data_schema.target.names,
        content=Content.together({sites.names[node]: site.content for node, site in held.items()}),
        shared=common.identified(np.zeros(0, dtype=np.uint8)),
        canaries=canaries,
        notes=(
            *told,
            *_notes(sites, held),
            *undefined_scores([nodes[n] for n in held], [held[n].whose for n in held]),
            *told_copies([nodes[n] for n in held]),
            *told_shared({sites.names[n]: nodes[n] for n in held}),
        ),
        sites=sites.names,
        groups=joined_groups([site.data for site in held.values()]),
        sums=_sums(sites, held),
    )


def _sums(sites: SitesSettings, held: Mapping[int, Site]) -> dict[int, Sums]:
    """What each site has to say of the samples that it trains on, where statistics are to be agreed on."""
    settings, found = sites.statistics, {}
    for node, site in held.items() if settings else ():
        assert settings is not None  # it was looked at
        rows = site.canaries.without_left_out(site.rows.train)
        with own_words(sites.names[node]):
            found[node] = own_sums(sites.data_schema, settings, site.data, rows)
    return found


def _node(
    settings: DataSettings,
    common: Common,
    samples: Samples,
    canaries: Canaries,
    site: Site,
    first: int,
    first_test: int,
) -> NodeData:
    """What a site holds of the ``samples`` of all that are opened, among which its own begin at these rows."""
    rows = Rows(*(first + split for split in site.rows))
    rows = rows._replace(train=canaries.without_left_out(rows.train))
    own = None
    if settings.test != "common":
        own_rows = first_test + site.own_test if site.brought_tests else first + site.own_test
        own = samples.subset(torch.from_numpy(own_rows))
    verified = site.verified and VerifiedRows(*(first + half for half in site.verified))
    return replace(common.node(samples, rows, own, verified), released=_released(settings))


def _released(settings: DataSettings) -> float | None:
    """The noise multiplier of what sites tell of their samples before round 1; None where they tell nothing."""
    assert settings.sites is not None  # else nodes are no sites
    agreed = settings.sites.statistics
    return None if agreed is None else agreed.noise_multiplier or 0.0


def _unopened(settings: DataSettings, common: Common, samples: Samples) -> NodeData:
    """Nothing, in the form of a node's data."""
    nothing: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
    own = None if settings.test == "common" else samples.subset(torch.from_numpy(nothing))
    return common.node(samples, Rows(nothing, nothing, nothing), own, None)


def _example(settings: DataSettings, sites: SitesSettings, common: Common) -> NodeData:
    count = max(TRIED, len(sites.data_schema.target.names))
    made_up, every = _made_up(sites, count), np.arange(count)
    samples = samples_of(made_up.x_train, made_up.y_train)
    own = None if settings.test == "common" else samples
    verified = VerifiedRows(every, every) if settings.verified else None
    return replace(common.node(samples, Rows(every, every, every), own, verified), released=_released(settings))


def _notes(sites: SitesSettings, held: Mapping[int, Site]) -> Iterator[str]:
    by_note: dict[str, list[str]] = {}
    for node, site in held.items():
        for note in site.notes:
            by_note.setdefault(note, []).append(sites.names[node])
    for note, names in by_note.items():
        yield f"{'site' if len(names) == 1 else 'sites'} {', '.join(names)}: {note}"
    if brought := [sites.names[node] for node, site in held.items() if site.brought_tests]:
        yield f"tested on the samples that they brought for it: {', '.join(brought)}"
