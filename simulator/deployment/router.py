"""The plane relay at the ServerApp: a mailbox for every node and round; what is in the mail it cannot read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulator.deployment.post import Office
from simulator.deployment.terms import Terms


def relay(office: Office, terms: Terms, start: int) -> None:
    """Take all nodes through the rounds from ``start`` on, in step.

    Raises:
        RuntimeError: a node cannot go on, does not answer, or writes to one that is no neighbour.
    """
    mail: dict[int, dict[str, Any]] = {}
    for round in range(start, terms.rounds + 1):
        contents = {node: {"round": round, **mail.get(node, {})} for node in office.nodes}
        replies = office.ask("train.relay", contents, terms.phase_timeout)
        mail = route(replies, terms.links)
        print(f"all nodes have finished {round} of {terms.rounds} rounds", flush=True)


def route(replies: Mapping[int, Mapping[str, Any]], links: frozenset[tuple[int, int]]) -> dict[int, dict[str, Any]]:
    """What each node is to be given, as "from-N", of what all have answered, as "to-N".

    Raises:
        RuntimeError: a node writes to one that is no neighbour.
    """
    mail: dict[int, dict[str, Any]] = {}
    for sender, reply in replies.items():
        for name, sealed in reply.items():
            if not name.startswith("to-"):
                continue
            receiver = int(name.removeprefix("to-"))
            if (sender, receiver) not in links:
                raise RuntimeError(f"node {sender} writes to node {receiver}, which is no neighbour of it")
            mail.setdefault(receiver, {})[f"from-{sender}"] = sealed
    return mail
