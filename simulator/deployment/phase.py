"""A phase of the plane p2p at one node: many rounds in one message of Flower's."""

from __future__ import annotations

from simulator.deployment.node_folder import NodeFolder
from simulator.deployment.run_manifest import RunManifest
from simulator.deployment.site.gate import Gate
from simulator.deployment.tolerance import bears_losses
from simulator.deployment.transport.certificates import Identity, name_of
from simulator.deployment.transport.gossip import Neighbours, gossip
from simulator.deployment.transport.neighbour import Patience
from simulator.deployment.transport.outbox import Outbox


def take_part(folder: NodeFolder, manifest: RunManifest, gate: Gate, until: int, deadline: float) -> int:
    """Gossip until so many rounds are finished, or until the deadline on the monotonic clock.

    Returns:
        How many rounds are finished.

    Raises:
        InputError: the node's keys or its address cannot be used.
        Declined: the site does not let out what it would send.
        RunError: training diverged, or a neighbour whose messages are needed is silent.
    """
    identity = Identity.read(folder.folder)
    identity.check(name_of(folder.node))
    patience = Patience(manifest.join_timeout, manifest.round_timeout, bears_losses(folder.experiment()))
    peer = folder.peer(manifest, gate)
    before = peer.resume()
    outbox = Outbox(peer.position + 1, gate.messages, before, peer.positions)
    expected = peer.expected(folder.neighbours, manifest.rounds)
    neighbours = Neighbours(
        folder.node, manifest.run, outbox, folder.listen, folder.neighbours, identity, patience, expected, gate.pins
    )
    try:
        gossip(peer, neighbours, until, deadline)
    finally:
        neighbours.close()
    return peer.round
