"""A round of the plane relay at one node: a process of its own, which knows of the round before what is on the disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulator.core.errors import RunError
from simulator.core.message import Message
from simulator.deployment.node_folder import NodeFolder
from simulator.deployment.run_manifest import RunManifest
from simulator.deployment.tolerance import bears_losses
from simulator.deployment.transport.inspection import Refused, refusal
from simulator.deployment.transport.peer import Peer
from simulator.deployment.transport.sealing import Seals


def do_round(node_folder: NodeFolder, manifest: RunManifest, round: int, mail: Mapping[int, bytes]) -> dict[str, Any]:
    """Mix what the neighbours sent in the round before, train, and seal what goes to them.

    Args:
        node_folder: the node's.
        manifest: of the run.
        round: how many are finished when this one begins.
        mail: what each neighbour has sealed in the round before.

    Returns:
        "round", and as "to-N" what is sealed for neighbour N; nothing after the last round.

    Raises:
        InputError: the node's key is not there.
        RunError: training diverged, or a message that is needed is missing or refused.
    """
    seals = Seals(manifest.run, node_folder.node, node_folder.private_key(), node_folder.public_keys)
    peer = node_folder.peer(manifest.run)
    if not peer.go_to(round):
        _finish_round(peer, seals, round - 1, mail, bears_losses(node_folder.experiment()))
    peer.close()
    messages = peer.work() if round < manifest.rounds else []
    return {"round": round, **{f"to-{message.receiver}": seals.seal(message) for message in messages}}


def _finish_round(peer: Peer, seals: Seals, round: int, mail: Mapping[int, bytes], tolerant: bool) -> None:
    """Work the round again, since a node is whole only between rounds, and mix what has come of it."""
    if not peer.go_to(round):
        raise RunError(f"node {peer.node} is asked to end round {round}, and has nothing of it on its disk.")
    peer.work()
    senders, messages, refused = peer.senders(round), list[Message](), list[int]()
    for sender, data in sorted(mail.items()):
        try:
            messages.append(_opened(peer, seals, data, sender, round, senders))
        except Refused as said:
            print(f"round {round}: {said}", flush=True)
            refused.append(sender)
    missing = sorted(set(senders) - {message.sender for message in messages})
    if missing and not tolerant:
        what = f"node {peer.node} is to mix round {round}, and has nothing that it can use of nodes {missing}"
        raise RunError(f"{what}; this experiment's mixer or methods need every message.")
    if missing:
        print(f"round {round}: going on without the messages of nodes {missing}", flush=True)
    peer.absorb(messages, missing, refused)


def _opened(peer: Peer, seals: Seals, data: bytes, sender: int, round: int, senders: list[int]) -> Message:
    message = seals.open(data, sender, round)
    if sender not in senders:
        raise refusal(sender, round, "comes over a link that is not there in this round")
    peer.inspect(message)
    return message
