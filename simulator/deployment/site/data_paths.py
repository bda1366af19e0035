"""Where sites' data lie on their own hosts: what ``node.yaml`` says of it, and what an organiser may fill in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from simulator.core.errors import did_you_mean, wrong

COMMENT = "# This site's own data: its file or folder on this host, absolute or from this folder on; nobody else's."


def named_paths(sites: Sequence[str], given: Sequence[str]) -> dict[int, Path | None]:
    """The path of each site's data, by node; None where none is ``given``.

    Args:
        sites: the names of all, in the order of the nodes; empty where nodes are no sites.
        given: "SITE=PATH" each, as on the command line; nothing is looked for there.

    Raises:
        InputError: there is no such site, or it is named twice.
    """
    found: dict[str, Path] = {}
    for each in given:
        name, equals, path = each.partition("=")
        if not equals or not path:
            raise wrong("--data", f"'{each}' is no SITE=PATH.", "Write for example --data berlin=/srv/data/berlin.csv.")
        if name not in sites:
            raise wrong("--data", f"there is no site '{name}'.", did_you_mean(name, list(sites), "sites"))
        if name in found:
            raise wrong("--data", f"the site {name} is named twice.", "Give it one path.")
        found[name] = Path(path)
    return {node: found.get(name) for node, name in enumerate(sites)}


def data_block(path: Path | None) -> str:
    """The lines of ``node.yaml`` about the node's own data, for its owner to fill in where there is no ``path``."""
    return f"{COMMENT}\n{yaml.safe_dump({'data': {'path': path and str(path)}}, sort_keys=False)}"
