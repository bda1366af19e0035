"""What the ServerApp is told of nodes that have left a run in order, and what it says of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulator.deployment.node_folder import NodeFolder
from simulator.deployment.records import whole
from simulator.deployment.run_manifest import RunManifest

LEFT = "left"


def with_departure(folder: NodeFolder, manifest: RunManifest, reply: Mapping[str, Any]) -> Mapping[str, Any]:
    """``reply`` with the node's last round, where it has left: its own, and not what it knows of neighbours."""
    after = folder.departure(manifest.run)
    return reply if after is None else {**reply, LEFT: after}


def tell(replies: Mapping[int, Mapping[str, Any]], manifest: RunManifest, told: set[int]) -> None:
    """Say once of each node in ``replies`` that it has left.

    Raises:
        Misshapen: a round is none.
    """
    for node, reply in replies.items():
        if LEFT in reply and node not in told:
            after = whole(reply, LEFT, 0, manifest.rounds)
            print(
                f"node {node}: finished: budget, after {after} of {manifest.rounds} rounds; the others go on",
                flush=True,
            )
            told.add(node)
