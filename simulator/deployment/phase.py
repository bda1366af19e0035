"""A phase of the plane p2p at one node: many rounds in one message of Flower's."""

from __future__ import annotations

from simulator.backends.flower.certificates import Identity, name_of
from simulator.backends.flower.gossip import Neighbours, gossip
from simulator.backends.flower.neighbour import Patience
from simulator.backends.flower.outbox import Outbox
from simulator.deployment.site import Site
from simulator.deployment.terms import Terms
from simulator.deployment.tolerance import bears_losses


def take_part(site: Site, terms: Terms, until: int, deadline: float) -> int:
    """Gossip until so many rounds are finished, or until the deadline on the monotonic clock.

    Returns:
        How many rounds are finished.

    Raises:
        InputError: the node's keys or its address cannot be used.
        RunError: training diverged, or a neighbour whose messages are needed is silent.
    """
    identity = Identity.read(site.folder)
    identity.check(name_of(site.node))
    patience = Patience(terms.join_timeout, terms.round_timeout, bears_losses(site.experiment()))
    peer = site.peer(terms.run)
    before = peer.resume()
    outbox = Outbox(peer.round, before)
    expected = peer.expected(site.neighbours, terms.rounds)
    neighbours = Neighbours(site.node, terms.run, outbox, site.listen, site.neighbours, identity, patience, expected)
    try:
        gossip(peer, neighbours, until, deadline)
    finally:
        neighbours.close()
    return peer.round
