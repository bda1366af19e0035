"""Which SuperNode is which node: each is asked, and refused if it is of another experiment or version."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from flwr.app import Message
from flwr.serverapp import Grid

from simulator.deployment.records import DECLINED, Misshapen, packed, text, unpacked, whole
from simulator.deployment.run_manifest import RunManifest

POLL = 0.5  # seconds
SAY = 10.0  # seconds between two lines of the countdown
MOST = 10**9  # nodes
SHOWN = 500  # characters of what a node says


class Member(NamedTuple):
    """Flower's number of a node's SuperNode, and how many rounds of the run the node has finished before."""

    number: int
    rounds: int


def gather(grid: Grid, manifest: RunManifest) -> dict[int, Member]:
    """Wait until all nodes are there.

    Raises:
        RuntimeError: a node is missing when the time is over, or one is refused.
    """
    found: dict[int, Member] = {}
    asked: dict[int, str] = {}
    deadline, said = time.monotonic() + manifest.join_timeout, 0.0
    while missing := sorted(set(range(manifest.nodes)) - set(found)):
        left = deadline - time.monotonic()
        names = ", ".join(map(str, missing))
        if left <= 0:
            raise RuntimeError(
                f"of {manifest.nodes} nodes, these have not joined in {manifest.join_timeout:g} s: {names}"
            )
        if time.monotonic() - said > SAY:
            print(f"waiting for nodes {names}: {left:.0f} s left", flush=True)
            said = time.monotonic()
        _ask(grid, asked)
        _listen(grid, asked, found, manifest)
        time.sleep(POLL)
    return found


def _ask(grid: Grid, asked: dict[int, str]) -> None:
    """Send a hello to every SuperNode that has not had one."""
    new = [number for number in grid.get_node_ids() if number not in asked]
    hellos = [Message(packed({}), dst_node_id=number, message_type="query.hello") for number in new]
    for number, message in zip(new, grid.push_messages(hellos) if hellos else (), strict=True):
        if message:
            asked[number] = message


def _listen(grid: Grid, asked: dict[int, str], found: dict[int, Member], manifest: RunManifest) -> None:
    number_of = {message: number for number, message in asked.items()}
    for reply in grid.pull_messages(list(asked.values())):
        number = number_of[reply.metadata.reply_to_message_id]
        if reply.has_error():
            print(f"a SuperNode cannot take part: {reply.error.reason}", flush=True)
            del asked[number]  # ask again: it may have been restarted
            continue
        try:
            node, rounds = _introduced(unpacked(reply), manifest)
        except Misshapen as error:
            raise RuntimeError(f"SuperNode {number} is refused: what it says {error}") from error
        if node in found and found[node].number != number:
            raise RuntimeError(f"two SuperNodes say that they are node {node}: give each its own folder")
        found[node] = Member(number, rounds)


def _introduced(hello: Mapping[str, Any], manifest: RunManifest) -> tuple[int, int]:
    """Which node it is, and how many rounds it has finished."""
    if DECLINED in hello:
        raise RuntimeError(text(hello, DECLINED)[:SHOWN])
    node = whole(hello, "node", -MOST, MOST)
    if (theirs := text(hello, "version")) != manifest.version:
        raise RuntimeError(f"node {node} is refused: it has rumormill {theirs[:40]}, not {manifest.version}")
    if text(hello, "fingerprint") != manifest.fingerprint or node not in range(manifest.nodes):
        raise RuntimeError(f"node {node} is refused: its experiment.yaml is not that of this run")
    return node, whole(hello, "rounds", 0, manifest.rounds)
