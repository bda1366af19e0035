"""Nodes that have names in the graph, and sites that have names in the data: joined by their order, never by names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from simulator.core.errors import wrong
from simulator.data.alike import pairs


def check_names(nodes: Sequence[str], sites: Sequence[str], where: str) -> None:
    """Refuse sites that would be put at a node which the graph calls otherwise, where the two share names at all.

    Args:
        nodes: what the graph calls each node, as `Topology.labels`.
        sites: whose data each node holds; empty where the data name no sites.
        where: the setting that gives sites their order.

    Raises:
        InputError: some of the names are the same, and stand at different nodes.
    """
    if not _named(nodes) or not set(nodes) & set(sites) or tuple(nodes) == tuple(sites):
        return
    site, node = next((site, node) for site, node in zip(sites, nodes, strict=True) if site != node)
    what = f"nodes and sites go by their order, and the site {site} would be the node that the graph calls {node}."
    advice = f"Name the sites in the order of the graph's nodes: [{', '.join(nodes)}]."
    if strange := sorted(set(sites) - set(nodes)):
        unknown = ", ".join(strange[:5])
        advice = f"Give nodes and sites the same names (the graph has no {unknown}), or number the nodes."
    raise wrong(where, what, advice)


def told_names(nodes: Sequence[str], sites: Sequence[str]) -> Iterator[str]:
    """Names of nodes that may be one, and which node is which site, where both have names and share none."""
    yield from pairs("nodes", nodes)
    if sites and _named(nodes) and not set(nodes) & set(sites):
        homes = [f"{node} is {site}" for node, site in zip(nodes, sites, strict=True)]
        shown = ", ".join(homes if len(homes) <= 6 else [*homes[:5], "..."])
        yield f"nodes of the graph and sites have other names, and go by their order: {shown}"


def _named(nodes: Sequence[str]) -> bool:
    return any(name != str(number) for number, name in enumerate(nodes))
