"""A phase at one node: many rounds in one message of Flower's, on either plane."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from simulator.core.errors import RunError
from simulator.core.message import Message
from simulator.deployment.node_folder import NodeFolder
from simulator.deployment.run_manifest import RunManifest
from simulator.deployment.site.gate import Gate, Seal
from simulator.deployment.transport.certificates import Identity, name_of
from simulator.deployment.transport.gossip import Neighbours, gossip, sit_out
from simulator.deployment.transport.neighbour import Patience
from simulator.deployment.transport.outbox import Outbox, Release
from simulator.deployment.transport.peer import Peer
from simulator.deployment.transport.planes import p2p, relay
from simulator.deployment.transport.run_keys import RunSeals, forget, run_key
from simulator.deployment.versions import own_versions

LetGo = Callable[[Sequence[Message], Seal | None], Mapping[int, bytes]]


class Outcome(NamedTuple):
    """How many rounds a node has finished, in how many of them it was away, and whether it hears who it must hear."""

    round: int
    away: int
    heard: bool


def take_part(
    folder: NodeFolder,
    manifest: RunManifest,
    gate: Gate,
    until: int,
    deadline: float,
    away: Collection[int] = (),
    over: int = 0,
) -> Outcome:
    """Gossip until so many rounds are finished, or until the deadline on the monotonic clock.

    Args:
        folder: the node's.
        manifest: of the run.
        gate: of the site, which messages and reports pass.
        until: rounds.
        deadline: on the monotonic clock.
        away: nodes that are not there, as far as the ServerApp knows: they are not waited for before they are heard.
        over: rounds that all others have finished, as far as it knows: what the node has missed of them, it sits out.

    Raises:
        InputError: the node's keys or its address cannot be used.
        Declined: the site does not let out what it would send.
        RunError: training diverged, or what a neighbour sends whose messages are needed is refused, or it has been
            revoked.
    """
    Identity.read(folder.folder).check(name_of(folder.node))
    peer = folder.peer(manifest, gate)
    before = peer.resume()
    if peer.round < min(over, until):
        sit_out(peer, min(over, until))
        before = []
    heard = True
    if peer.round < until:
        neighbours = _neighbours(folder, manifest, gate, peer, before, set(away) & set(folder.neighbours))
        try:
            gossip(peer, neighbours, until, deadline)
        finally:
            neighbours.close()
        heard = not neighbours.broken_off
    _lay_out_versions(folder, manifest, gate)
    if peer.round == manifest.rounds:
        forget(folder.state(manifest.run))
    return Outcome(peer.round, peer.absences, heard)


def _neighbours(
    folder: NodeFolder,
    manifest: RunManifest,
    gate: Gate,
    peer: Peer,
    before: Sequence[Message],
    away: Collection[int],
) -> Neighbours:
    """Those of the plane, for whom there is also what was sent ``before``."""
    identity, expected = Identity.read(folder.folder), peer.expected(folder.neighbours, manifest.rounds)
    _check_co_senders(identity, folder.co_senders)
    revoked = _revoked(identity, folder.neighbours, peer.tolerant)
    patience, away = Patience(manifest.join_timeout, manifest.round_timeout, peer.tolerant), {*away, *revoked}
    node, run, let_go = folder.node, manifest.run, _but_to(revoked, gate.messages)

    def outbox(release: Release) -> Outbox:
        return Outbox(peer.position + 1, release, before, peer.positions)

    if manifest.plane == "p2p":
        sent, at = outbox(lambda messages: let_go(messages, None)), folder.listen
        return p2p(node, run, sent, at, folder.neighbours, identity, patience, expected, gate.pins, away)
    known = {other: key for other, key in folder.public_keys.items() if other not in revoked}
    seals = RunSeals(run, node, folder.private_key(), known, run_key(folder.state(run)))
    greetings, at = gate.greetings(seals.greetings()), folder.mailbox
    return relay(node, run, outbox, let_go, at, identity, patience, expected, seals, greetings, away)


def _but_to(revoked: Collection[int], let_go: LetGo) -> LetGo:
    """``let_go`` for what does not go to nodes that were ``revoked``; what does stays here."""

    def release(messages: Sequence[Message], seal: Seal | None) -> Mapping[int, bytes]:
        return let_go([message for message in messages if message.receiver not in revoked], seal)

    return release


def _check_co_senders(identity: Identity, co_senders: Collection[int]) -> None:
    """Whether masks that follow from their keys hide anything.

    Raises:
        RunError: one has been revoked, so that somebody else may have its key.
    """
    if revoked := sorted(identity.revoked_neighbours & set(co_senders)):
        what = f"{name_of(revoked[0])} has been revoked, and what this node sends is masked by what it has with it."
        raise RunError(f"{what}\n    Make a deployment without it, or have it make new keys that the organiser signs.")


def _revoked(identity: Identity, neighbours: Collection[int], tolerant: bool) -> set[int]:
    """The neighbours whose certificates have been revoked: they are not waited for before they show others.

    Raises:
        RunError: there are such, and the experiment needs every message.
    """
    revoked = identity.revoked_neighbours & set(neighbours)
    names = ", ".join(name_of(node) for node in sorted(revoked))
    if revoked and not tolerant:
        what = f"{names} has been revoked, and this experiment's mixer or methods need every message."
        raise RunError(f"{what}\n    Make a deployment without it, or have it make new keys that the organiser signs.")
    if revoked:
        print(f"{names} has been revoked: going on without it", flush=True)
    return revoked


def _lay_out_versions(folder: NodeFolder, manifest: RunManifest, gate: Gate) -> None:
    """For the report, where they are not those that stand there; the node has been admitted."""
    memory, own = folder.memory(manifest.run), own_versions()
    if memory.versions() != own:
        memory.lay_out_versions(gate.versions(own))
