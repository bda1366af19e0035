"""The plane relay at the ServerApp: a mailbox for every node and exchange; what is in the mail it cannot read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from simulator.deployment.leaving import tell
from simulator.deployment.messenger import Messenger
from simulator.deployment.records import Misshapen, sealed
from simulator.deployment.run_manifest import RunManifest


def relay(messenger: Messenger, manifest: RunManifest, start: int) -> None:
    """Take all nodes through the rounds from ``start`` on, in step, a message to every node an exchange.

    A node that is lost for longer than ``join_timeout`` is away until the next round that it answers for; the others go
    on, where the experiment's parts bear it. Mail of the last round that it took part in is kept for it, and of those
    in which it gave none it gets none, so that both ends of a link count each other or neither does.

    Raises:
        RuntimeError: a node cannot go on, or does not answer, or too few are left.
    """
    mail, kept = dict[int, dict[str, Any]](), dict[int, dict[str, Any]]()
    present, took_part, told = list(messenger.nodes), Counter[int](), set[int]()
    for round, exchange in steps(manifest, start):
        asked = messenger.nodes if exchange == 1 else present
        now = {"round": round, "exchange": exchange} if exchange > 1 else {"round": round}
        contents = {node: {**now, **(kept if node in kept else mail).get(node, {})} for node in asked}
        patience = {node: manifest.join_timeout if node in present else 0.0 for node in asked}
        leave = patience if manifest.goes_on else None
        replies = messenger.ask("train.relay", contents, manifest.phase_timeout, leave)
        tell(replies, manifest, told)
        _say_who_is_there(present, sorted(replies), round)
        if exchange == 1:
            kept = {node: kept.get(node, mail.get(node, {})) for node in asked if node not in replies}
        present = sorted(replies)
        if len(present) < min(2, manifest.nodes):
            raise RuntimeError(f"in round {round + 1} of all nodes only {present} are left")
        mail = {node: letters for node, letters in route(replies, manifest.links).items() if node in replies}
        if exchange == 1:
            took_part.update(present if round < manifest.rounds else ())
            all_but = ", ".join(str(node) for node in messenger.nodes if node not in replies)
            who = f"all nodes but {all_but} have" if all_but else "all nodes have"
            print(f"{who} finished {round} of {manifest.rounds} rounds", flush=True)
    for node in messenger.nodes:
        if took_part[node] < manifest.rounds - start:
            print(f"node {node} took part in {took_part[node]} of {manifest.rounds - start} rounds", flush=True)


def _say_who_is_there(before: list[int], now: list[int], round: int) -> None:
    for node in sorted(set(before) ^ set(now)):
        said = "is away; the others go on without it" if node in before else "is back"
        print(f"round {round + 1}: node {node} {said}", flush=True)


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
