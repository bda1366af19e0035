"""The plane relay at the ServerApp: a mailbox for every node and exchange; what is in the mail it cannot read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from simulator.deployment.leaving import tell
from simulator.deployment.messenger import Messenger
from simulator.deployment.records import Misshapen, sealed
from simulator.deployment.run_manifest import RunManifest


def relay(messenger: Messenger, manifest: RunManifest, start: int) -> None:
    """Take all nodes through the rounds from ``start`` on, in step, a message to every node an exchange.

    Raises:
        RuntimeError: a node cannot go on, or does not answer.
    """
    mail: dict[int, dict[str, Any]] = {}
    told = set[int]()
    for round, exchange in steps(manifest, start):
        now = {"round": round, "exchange": exchange} if exchange > 1 else {"round": round}
        contents = {node: {**now, **mail.get(node, {})} for node in messenger.nodes}
        replies = messenger.ask("train.relay", contents, manifest.phase_timeout)
        tell(replies, manifest, told)
        mail = route(replies, manifest.links)
        if exchange == 1:
            print(f"all nodes have finished {round} of {manifest.rounds} rounds", flush=True)


def steps(manifest: RunManifest, start: int) -> Iterator[tuple[int, int]]:
    """Round and exchange of all that nodes are asked for, the end of the last round included."""
    for round in range(start, manifest.rounds):
        yield from ((round, exchange) for exchange in range(1, manifest.exchanges + 1))
    yield manifest.rounds, 1


def route(replies: Mapping[int, Mapping[str, Any]], links: frozenset[tuple[int, int]]) -> dict[int, dict[str, Any]]:
    """What each node is to be given, as "from-N", of what all have answered, as "to-N".

    What cannot be delivered is named and left where it is: to its receiver it is lost.
    """
    mail: dict[int, dict[str, Any]] = {}
    for sender, reply in replies.items():
        try:
            letters = sealed(reply, "to-")
        except Misshapen as error:
            print(f"node {sender}: its reply {error}; nothing of it is delivered", flush=True)
            continue
        for receiver, letter in letters.items():
            if (sender, receiver) not in links:
                print(
                    f"node {sender} writes to node {receiver}, which is no neighbour of it: not delivered", flush=True
                )
                continue
            mail.setdefault(receiver, {})[f"from-{sender}"] = letter
    return mail
