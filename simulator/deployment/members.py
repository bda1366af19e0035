"""Which SuperNode is which node: each is asked, and refused if it is of another experiment or version."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from flwr.app import Message
from flwr.serverapp import Grid

from simulator.deployment.files import EXPERIMENT
from simulator.deployment.keys.expiry import WARNING, ending
from simulator.deployment.records import DECLINED, Misshapen, day, packed, text, unpacked, whole
from simulator.deployment.run_manifest import RunManifest
from simulator.deployment.versions import differing, parsed, refused

POLL = 0.5  # seconds
SAY = 10.0  # seconds between two lines of the countdown
MOST = 10**9  # nodes
SHOWN = 500  # characters of what a node says


class Member(NamedTuple):
    """Flower's number of a node's SuperNode, and how many rounds of the run the node has finished before."""

    number: int
    rounds: int


class Members:
    """The nodes that have joined, and those that still may.

    Attributes:
        found: by node.

    Args:
        grid: Flower's.
        manifest: of the run.
    """

    def __init__(self, grid: Grid, manifest: RunManifest) -> None:
        self._grid, self._manifest = grid, manifest
        self._asked: dict[str, int] = {}  # greetings that have not been answered, and whom they are for
        self._known: set[int] = set()  # SuperNodes that have been greeted and have not failed to answer
        self.found: dict[int, Member] = {}

    def gather(self) -> None:
        """Wait until all nodes are there, or, when the time is over, as many as the run begins with.

        Raises:
            RuntimeError: too many are missing when the time is over, or one is refused.
        """
        manifest, said = self._manifest, 0.0
        deadline = time.monotonic() + manifest.join_timeout
        while missing := sorted(set(range(manifest.nodes)) - set(self.found)):
            left, names = deadline - time.monotonic(), ", ".join(map(str, missing))
            if left <= 0 and len(self.found) >= manifest.quorum:
                print(f"beginning without nodes {names}, which may come later", flush=True)
                return
            if left <= 0:
                what = f"of {manifest.nodes} nodes, these have not joined in {manifest.join_timeout:g} s: {names}"
                raise RuntimeError(what)
            if time.monotonic() - said > SAY:
                print(f"waiting for nodes {names}: {left:.0f} s left", flush=True)
                said = time.monotonic()
            self.look()
            time.sleep(POLL)

    def look(self) -> None:
        """Greet every SuperNode that has not been, and take in what those have answered who were.

        Raises:
            RuntimeError: one is refused.
        """
        self._greet()
        for reply in self._grid.pull_messages(list(self._asked)) if self._asked else ():
            number = self._asked.pop(reply.metadata.reply_to_message_id)
            if reply.has_error():
                print(f"a SuperNode cannot take part now and is asked again: {reply.error.reason}", flush=True)
                self._known.discard(number)  # it may have been restarted
                continue
            self._take(number, reply)

    def _greet(self) -> None:
        new = [number for number in self._grid.get_node_ids() if number not in self._known]
        hellos = [Message(packed({}), dst_node_id=number, message_type="query.hello") for number in new]
        for number, message in zip(new, self._grid.push_messages(hellos) if hellos else (), strict=True):
            if message:
                self._asked[message] = number
                self._known.add(number)

    def _take(self, number: int, reply: Message) -> None:
        try:
            hello = unpacked(reply)
            node, rounds = _introduced(hello, self._manifest)
            said = list(_noted(hello, self._manifest))
        except Misshapen as error:
            raise RuntimeError(f"SuperNode {number} is refused: what it says {error}") from error
        if node in self.found and self.found[node].number != number:
            raise RuntimeError(f"two SuperNodes say that they are node {node}: give each its own folder")
        self.found[node] = Member(number, rounds)
        for sentence in said:
            print(f"node {node}: {sentence}", flush=True)


def _introduced(hello: Mapping[str, Any], manifest: RunManifest) -> tuple[int, int]:
    """Which node it is, and how many rounds it has finished."""
    if DECLINED in hello:
        raise RuntimeError(text(hello, DECLINED)[:SHOWN])
    node = whole(hello, "node", -MOST, MOST)
    if (theirs := text(hello, "version")) != manifest.version:
        raise RuntimeError(f"node {node} is refused: it has rumormill {theirs[:40]}, not {manifest.version}")
    if text(hello, "fingerprint") != manifest.fingerprint or node not in range(manifest.nodes):
        raise RuntimeError(f"node {node} is refused: its {EXPERIMENT} is not that of this run")
    if what := refused(parsed(text(hello, "versions")), parsed(manifest.versions)):
        raise RuntimeError(f"node {node} is refused: it {what}")
    return node, whole(hello, "rounds", 0, manifest.rounds)


def _noted(hello: Mapping[str, Any], manifest: RunManifest) -> Iterator[str]:
    """What the log keeps of a node that may take part: versions that differ, and a certificate that ends soon."""
    if differ := ", ".join(differing(parsed(text(hello, "versions")), parsed(manifest.versions))):
        yield f"it has {differ}, which the run was planned with: what it computes may be rounded otherwise"
    ends, now = day(hello, "certified_until"), datetime.now(UTC)
    if ends - now < WARNING:
        yield ending(f"node-{hello['node']}", ends, now)
