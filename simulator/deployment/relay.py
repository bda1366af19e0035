"""An exchange of the plane relay at one node: a process of its own, which knows of the run what is on the disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from simulator.core.errors import RunError
from simulator.core.message import Message
from simulator.deployment.node_folder import NodeFolder
from simulator.deployment.run_manifest import RunManifest
from simulator.deployment.site.gate import Gate
from simulator.deployment.tolerance import bears_losses
from simulator.deployment.transport.expected import Expected
from simulator.deployment.transport.gossip import sit_out
from simulator.deployment.transport.heard import Heard
from simulator.deployment.transport.inspection import Refused, refusal
from simulator.deployment.transport.peer import Peer
from simulator.deployment.transport.positions import named
from simulator.deployment.transport.sealing import Seals


def do_exchange(
    node_folder: NodeFolder, manifest: RunManifest, gate: Gate, round: int, mail: Mapping[int, bytes], exchange: int = 1
) -> dict[str, Any]:
    """Take in what the neighbours sent in the exchange before, and seal what goes to them in this one.

    The first exchange of a round ends the round before it. A node is whole only between rounds, so a round is worked
    from its beginning every time, with what its earlier exchanges have brought, which is on the disk; what was heard
    once stands, and other mail of the same exchange is not looked at. Rounds that were relayed while the node was away
    are sat out first.

    Args:
        node_folder: the node's.
        manifest: of the run.
        gate: of the site, which what is sent passes.
        round: how many are finished when this one begins.
        mail: what each neighbour has sealed in the exchange before.
        exchange: of the round.

    Returns:
        "round", and as "to-N" what is sealed for neighbour N; nothing after the last round.

    Raises:
        InputError: the node's key is not there.
        Declined: the site does not let out what it would send.
        RunError: training diverged, a message that is needed is missing or refused, or what was before this exchange is
            not on the disk.
    """
    seals = Seals(manifest.run, node_folder.node, node_folder.private_key(), node_folder.public_keys)
    peer = node_folder.peer(manifest, gate)
    if exchange > peer.positions.exchanges:
        raise RunError(f"node {peer.node} is asked for {named(round + 1, exchange)}, and its rounds have fewer.")
    before, expected = peer.positions.of(round + 1, exchange) - 1, peer.expected((), manifest.rounds)
    letters = Mail(mail, before, seals, expected, bears_losses(node_folder.experiment()))
    peer.resume()
    if manifest.goes_on and peer.round < round - 1:
        _catch_up(peer, round, letters)
    if exchange == 1 and not peer.go_to(round):
        _begin(peer, round - 1)
        _work(peer, peer.positions.exchanges, letters)
        peer.absorb(letters.heard(peer))
    _begin(peer, round)
    peer.close()
    messages = _work(peer, exchange, letters) if round < manifest.rounds else []
    sent = gate.messages(messages, seals.seal)
    return {"round": round, **{f"to-{receiver}": letter for receiver, letter in sent.items()}}


@dataclass(frozen=True)
class Mail:
    """What has come in one exchange.

    Attributes:
        sealed: by each sender.
        position: of the exchange.
        seals: of the node.
        expected: what it may hold.
        tolerant: whether a round goes on without messages that are missing or refused.
    """

    sealed: Mapping[int, bytes]
    position: int
    seals: Seals
    expected: Expected
    tolerant: bool

    def heard(self, peer: Peer) -> Heard:
        """What ``peer`` has heard in the exchange that it is in: as it was kept, or else from this mail.

        Raises:
            RunError: the mail is of another exchange, or a message that is needed is missing or refused.
        """
        if heard := peer.remembered():
            return heard
        if peer.position != self.position:
            now, then = peer.positions.named(peer.position), peer.positions.named(self.position)
            what = f"node {peer.node} is given the mail of {then}, and has nothing of {now} on its disk."
            raise RunError(f"{what}\n    Exchanges of a round follow each other: none may be left out.")
        return self._opened(peer, peer.senders())

    def _opened(self, peer: Peer, senders: list[int]) -> Heard:
        heard, now = Heard(), peer.positions.named(peer.position)
        for sender, data in sorted(self.sealed.items()):
            if sender in peer.lost:
                continue
            try:
                heard.messages.append(self._message(peer, data, sender, senders))
            except Refused as said:
                print(f"{now}: {said}", flush=True)
                heard.refused.append(sender)
        silent = sorted(set(senders) - {message.sender for message in heard.messages})
        heard.lost = [other for other in silent if other in heard.refused or self.expected.needed(other, peer.position)]
        if heard.lost and not self.tolerant:
            what = f"node {peer.node} is to go on with {now}, and has nothing that it can use of nodes {heard.lost}"
            raise RunError(f"{what}; this experiment's mixer or methods need every message.")
        if heard.lost:
            print(f"{now}: going on without the messages of nodes {heard.lost}", flush=True)
        return heard

    def _message(self, peer: Peer, data: bytes, sender: int, senders: list[int]) -> Message:
        round, exchange = peer.positions.split(peer.position)
        message = self.seals.open(data, sender, round, exchange)
        if sender not in senders:
            raise refusal(sender, round, "comes over a link that is not there in this round", exchange)
        self.expected.inspect(message)
        return message


def _begin(peer: Peer, round: int) -> None:
    if not peer.go_to(round):
        raise RunError(f"node {peer.node} is asked to go on with round {round + 1}, and has nothing of it on its disk.")


def _catch_up(peer: Peer, round: int, letters: Mail) -> None:
    """Sit out the rounds that were relayed without this node, which was away.

    In the one in which it was lost it may have sent messages: then it has taken part, and its mail is of that one.
    """
    if peer.has_begun():
        _work(peer, peer.positions.exchanges, None)
        peer.absorb(replace(letters, position=peer.position).heard(peer))
    sit_out(peer, round)


def _work(peer: Peer, exchange: int, mail: Mail | None) -> list[Message]:
    """Work the round from its beginning, up to the messages of an ``exchange``; without ``mail``, nothing has come."""
    messages = peer.begin()
    while peer.exchange < exchange:
        heard = mail.heard(peer) if mail else peer.remembered() or Heard(lost=peer.senders())
        messages = peer.hear(heard)
    return messages
