"""The ServerApp: who is there, what is to be done until when; of models and data it never sees anything."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from simulator.deployment.leaving import tell
from simulator.deployment.members import gather
from simulator.deployment.messenger import Messenger
from simulator.deployment.records import Misshapen, whole
from simulator.deployment.router import relay
from simulator.deployment.run_manifest import RunManifest

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Wait for all nodes, then take them through the run.

    Raises:
        RuntimeError: a node is missing, is of another experiment, or cannot go on.
    """
    manifest = RunManifest.read(context.run_config)
    members = gather(grid, manifest)
    messenger = Messenger(grid, {node: member.number for node, member in members.items()})
    finished = min(member.rounds for member in members.values())
    if manifest.plane == "p2p":
        _phases(messenger, manifest, finished)
    else:
        relay(messenger, manifest, finished)


def _phases(messenger: Messenger, manifest: RunManifest, finished: int) -> None:
    """Many rounds a message; a phase that was broken off by its deadline is continued by the next message.

    The deadline is a time of day, the same for all nodes: one that lasted longer would find its neighbours silent.
    """
    told = set[int]()
    while finished < manifest.rounds:
        until = min(manifest.rounds, finished - finished % manifest.phase + manifest.phase)
        orders = {"until": until, "ends": time.time() + manifest.phase_timeout}
        replies = messenger.ask("train.gossip", dict.fromkeys(messenger.nodes, orders), manifest.phase_timeout)
        tell(replies, manifest, told)
        reached = min(_reached(node, reply, manifest) for node, reply in replies.items())
        print(f"all nodes have finished {reached} of {manifest.rounds} rounds", flush=True)
        if reached <= finished:
            raise RuntimeError(
                f"no round was finished within {manifest.phase_timeout:g} s: raise backend.phase_timeout"
            )
        finished = reached


def _reached(node: int, reply: Mapping[str, Any], manifest: RunManifest) -> int:
    try:
        return whole(reply, "round", 0, manifest.rounds)
    except Misshapen as error:
        raise RuntimeError(f"node {node}: its reply {error}") from error
