"""A round of the plane relay at one node: a process of its own, which knows of the round before what is on the disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulator.backends.flower.peer import Peer
from simulator.backends.flower.sealing import Seals
from simulator.core.errors import RunError
from simulator.deployment.site import Site
from simulator.deployment.terms import Terms


def do_round(site: Site, terms: Terms, content: Mapping[str, Any]) -> dict[str, Any]:
    """Mix what the neighbours sent in the round before, train, and seal what goes to them.

    Args:
        site: the node's.
        terms: of the run.
        content: "round", and as "from-N" what neighbour N has sealed in the round before.

    Returns:
        "round", and as "to-N" what is sealed for neighbour N; nothing after the last round.

    Raises:
        InputError: the node's key is not there.
        RunError: training diverged, a message is missing, or it is refused.
    """
    round, seals = content["round"], Seals(terms.run, site.node, site.private_key(), site.public_keys)
    peer = site.peer(terms.run)
    if not peer.go_to(round):
        _finish_round(peer, seals, round - 1, _mail(content))
    peer.close()
    messages = peer.work() if round < terms.rounds else []
    return {"round": round, **{f"to-{message.receiver}": seals.seal(message) for message in messages}}


def _finish_round(peer: Peer, seals: Seals, round: int, mail: Mapping[int, bytes]) -> None:
    """Work the round again, since a node is whole only between rounds, and mix what has come of it."""
    if not peer.go_to(round):
        raise RunError(f"node {peer.node} is asked to end round {round}, and has nothing of it on its disk.")
    peer.work()
    senders = set(peer.place(round).weights) - {peer.node}
    if missing := sorted(senders - set(mail)):
        raise RunError(f"node {peer.node} is to mix round {round}, and was not given what nodes {missing} have sent.")
    peer.absorb([seals.open(data, sender, round) for sender, data in mail.items()])


def _mail(content: Mapping[str, Any]) -> dict[int, bytes]:
    return {int(name.removeprefix("from-")): data for name, data in content.items() if name.startswith("from-")}
