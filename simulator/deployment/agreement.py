"""Before round 1, at one node: what it tells of its own samples goes up a tree with all below it, the total comes down.

All nodes take part at once, as often as they are told to until all have done their part in one attempt. Every attempt
says the same: what has left once is on the node's disk, and it is held against that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from simulator.core import atomic
from simulator.core.declaration import Declared, excess, largest, misfit
from simulator.core.errors import RunError
from simulator.core.message import Message
from simulator.core.report import STATISTICS
from simulator.data.sites.agreement import Tree
from simulator.data.sites.settings import StatisticsSettings
from simulator.data.sites.statistics import Statistics
from simulator.data.sites.sums import PART, Sums, declared, impossible, joined, told
from simulator.deployment.files import PRIVATE
from simulator.deployment.node_folder import NodeFolder
from simulator.deployment.run_manifest import RunManifest
from simulator.deployment.site.gate import Gate
from simulator.deployment.transport.box import until
from simulator.deployment.transport.certificates import Identity, name_of
from simulator.deployment.transport.expected import Expected
from simulator.deployment.transport.gossip import Neighbours
from simulator.deployment.transport.inspection import Refused
from simulator.deployment.transport.neighbour import Patience
from simulator.deployment.transport.outbox import Outbox, Release
from simulator.deployment.transport.planes import p2p, relay
from simulator.deployment.transport.positions import Positions
from simulator.deployment.transport.run_keys import RunSeals, run_key

UP, DOWN = 0, 1  # positions
Inspect = Callable[[Message], None]


class Beforehand(Positions):
    """The two exchanges that come before round 1, which are in none: they count as those of round 0."""

    def of(self, round: int, exchange: int) -> int:
        """The position of an ``exchange``."""
        return exchange - 1

    def split(self, position: int) -> tuple[int, int]:
        """Round 0, and the exchange at ``position``."""
        return 0, position + 1

    def named(self, position: int) -> str:
        """``position`` in words."""
        return "the agreement on statistics"


POSITIONS = Beforehand(exchanges=2)


def agree(folder: NodeFolder, manifest: RunManifest, gate: Gate, deadline: float) -> bool:
    """Take part in one attempt of all nodes to agree; returns whether this node has done its part in it.

    Args:
        folder: the node's, in which the statistics are kept.
        manifest: of the run.
        gate: of the site, which lets the node take part in the whole run, and then each message out.
        deadline: on the monotonic clock.

    Raises:
        InputError: the node's data, keys or address cannot be used.
        Declined: the site does not let out what it would send, of this or of the rounds after it.
        RunError: somebody tells other sums than before, or what are none; or nothing is to be agreed on.
    """
    settings = folder.settings()
    sites = settings.sites
    if sites is None or sites.statistics is None:
        raise RunError(f"node {folder.node} is told to agree on statistics, and its experiment declares them all.")
    topology = settings.network.base
    own = told(folder.admitted(manifest, gate), sites.statistics, folder.noise_secret(manifest.run), folder.node)
    inspect = _inspected(declared(own.shape[1]), sites.statistics)
    neighbours = _neighbours(folder, manifest, gate, own.shape[1], inspect, until(deadline))
    try:
        total = _Attempt(folder, manifest.run, Tree.of(topology), neighbours, deadline).total(own)
    finally:
        neighbours.close()
    if total is None:
        print("not all nodes were heard that statistics are agreed on with: it is tried again", flush=True)
        return False
    statistics = Statistics.of(total, sites.data_schema, sites.statistics, topology.num_nodes)
    atomic.write(folder.state(manifest.run) / STATISTICS, statistics.to_json())
    gate.lay_out_statistics(statistics.to_json())
    return True


@dataclass
class _Attempt:
    """One of them, of a node among its neighbours."""

    folder: NodeFolder
    run: str
    tree: Tree
    neighbours: Neighbours
    deadline: float

    def total(self, own: Sums) -> Sums | None:
        """The sums over all nodes, once they have been handed on; None where somebody was not heard in time."""
        node, children = self.folder.node, self.tree.children[self.folder.node]
        parents = [self.tree.parent[node]] if node in self.tree.parent else []
        heard = self._hear(UP, children)
        if heard is None:
            return None
        below = self._kept("below", joined(own, [heard[child] for child in children]))
        self._tell(UP, parents, below)
        heard = self._hear(DOWN, parents)
        if heard is None:
            return None
        total = self._kept("total", heard[parents[0]] if parents else below)
        self._tell(DOWN, children, total)
        self.neighbours.linger(self.deadline)
        return total

    def _hear(self, position: int, senders: Sequence[int]) -> Mapping[int, Sums] | None:
        if not senders:
            return {}
        heard = self.neighbours.ask(position, senders, self.deadline)()
        if heard is not None and heard.refused:
            names = ", ".join(map(name_of, heard.refused))
            what = f"{names} tells node {self.folder.node} what are no sums of the statistics to be agreed on."
            raise RunError(f"{what}\n    Ask who runs it: without it, nobody can begin.")
        if heard is None or heard.lost:
            return None
        return {message.sender: message.parts[PART].numpy() for message in heard.messages}

    def _tell(self, position: int, receivers: Sequence[int], sums: Sums) -> None:
        parts, (round, exchange) = {PART: torch.from_numpy(sums)}, POSITIONS.split(position)
        messages = [Message(self.folder.node, to, round, parts, exchange) for to in receivers]
        self.neighbours.outbox.publish(position, messages)

    def _kept(self, name: str, sums: Sums) -> Sums:
        """``sums``, on the disk before they go anywhere, or as they were when they did.

        Raises:
            RunError: they are others than then.
        """
        file = self.folder.state(self.run) / f"statistics-{name}.npy"
        if not file.exists():
            file.parent.mkdir(PRIVATE, parents=True, exist_ok=True)
            with atomic.drafted(file) as draft, draft.open("wb") as stream:
                np.save(stream, sums)
        elif np.load(file).tobytes() != sums.tobytes():
            what = (
                f"node {self.folder.node} would tell other sums than before: data have changed, its own or others', or"
            )
            what = f"{what} the key that its noise is drawn from"
            raise RunError(f"{what}.\n    Put them back, or begin a new run: make the deployment's folder anew.")
        return sums


def _neighbours(
    folder: NodeFolder, manifest: RunManifest, gate: Gate, quantities: int, inspect: Inspect, seconds: float
) -> Neighbours:
    """Those of the plane, each of whom is waited for as long as the attempt lasts, so many ``seconds``."""
    identity = Identity.read(folder.folder)
    identity.check(name_of(folder.node))
    patience = Patience(seconds, seconds, tolerant=True)
    expected = Expected(1, dict.fromkeys(folder.neighbours, largest(declared(quantities))), inspect, POSITIONS)
    node, run = folder.node, label(manifest.run)

    def outbox(release: Release) -> Outbox:
        return Outbox(UP, release, positions=POSITIONS)

    if manifest.plane == "p2p":
        sent, at = outbox(gate.statistics), folder.listen
        return p2p(node, run, sent, at, folder.neighbours, identity, patience, expected, gate.pins)
    key = run_key(folder.state(manifest.run))  # which a label of its own keeps apart from what it seals in rounds
    seals = RunSeals(run, node, folder.private_key(), folder.public_keys, key)
    greetings, at = gate.greetings(seals.greetings()), folder.mailbox
    return relay(node, run, outbox, gate.statistics, at, identity, patience, expected, seals, greetings)


def label(run: str) -> str:
    """What tells the questions of this agreement from those of the ``run`` that it comes before."""
    return hashlib.blake2b(f"statistics of {run}".encode(), digest_size=16).hexdigest()


def _inspected(parts: Mapping[str, Declared], settings: StatisticsSettings) -> Inspect:
    def inspect(message: Message) -> None:
        wrong = misfit(message.parts, parts) or excess(message.parts, parts)
        if not wrong and impossible(message.parts[PART].numpy(), settings):
            wrong = "holds sums that no samples have"
        if wrong:
            raise Refused(f"what node {message.sender} tells for the agreement on statistics is refused: it {wrong}.")

    return inspect
