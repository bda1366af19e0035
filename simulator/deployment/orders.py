"""What the ServerApp can order of a node, three words; nothing heavy is imported before one needs it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from simulator.core.errors import RunError
from simulator.deployment.leaving import with_departure
from simulator.deployment.node_folder import NodeFolder
from simulator.deployment.records import Misshapen, nodes, number, whole
from simulator.deployment.run_manifest import RunManifest
from simulator.deployment.site.gate import Gate
from simulator.deployment.site.untold import at_the_gate

HELLO, STATISTICS, GOSSIP = "hello", "statistics", "gossip"
Content = Mapping[str, Any]
Within = Callable[[Callable[[], Content]], Content]
Given = Callable[[], Content]  # gives what comes with an order, or raises `Misshapen`


def answered(
    folder: NodeFolder,
    policy: Path,
    config: Content,
    word: str,
    given: Given,
    within: Within,
) -> Content:
    """What the ServerApp is told, which the site's gate has let out.

    Args:
        folder: the node's.
        policy: where the site's stands.
        config: of Flower's run, with its manifest.
        word: the order.
        given: what comes with it.
        within: carries it out, and may end it.

    Raises:
        Untold: it could not be carried out; why stands in the node's own folder.
    """
    with at_the_gate(folder) as opened:
        manifest = RunManifest.read(config)
        gate = opened.gate = Gate(policy, folder, manifest)
        return gate.reply(within(lambda: ORDERS[word](folder, manifest, gate, given)))


def _hello(folder: NodeFolder, manifest: RunManifest, gate: Gate, given: Given) -> Content:
    """Which node this is, and of which experiment."""
    return folder.introduction(manifest.run)


def _statistics(folder: NodeFolder, manifest: RunManifest, gate: Gate, given: Given) -> Content:
    """Before round 1: agree with all nodes on statistics; the time is counted from now on, by this host's own clock."""
    from simulator.deployment.agreement import agree

    folder.check(manifest)
    try:
        seconds = number(given(), "seconds")
    except Misshapen as error:
        raise _not_followed(folder, error) from error
    return {"agreed": int(agree(folder, manifest, gate, _deadline(manifest, seconds)))}


def _gossip(folder: NodeFolder, manifest: RunManifest, gate: Gate, given: Given) -> Content:
    """Many rounds with the neighbours, without a word to the SuperLink."""
    from simulator.deployment.phase import take_part

    folder.check(manifest)
    try:
        orders = given()
        until, over = whole(orders, "until", 0, manifest.rounds), whole(orders, "over", 0, manifest.rounds)
        seconds, away = number(orders, "seconds"), nodes(orders, "away")
    except Misshapen as error:
        raise _not_followed(folder, error) from error
    outcome = take_part(folder, manifest, gate, until, _deadline(manifest, seconds), away, over)
    reply = {"round": outcome.round, "away": outcome.away, "heard": int(outcome.heard)}
    return with_departure(folder, manifest, reply)


ORDERS = {HELLO: _hello, STATISTICS: _statistics, GOSSIP: _gossip}


def _deadline(manifest: RunManifest, seconds: float) -> float:
    return time.monotonic() + min(seconds, manifest.phase_timeout)


def _not_followed(folder: NodeFolder, error: Misshapen) -> RunError:
    return RunError(f"node {folder.node} does not follow an instruction of the ServerApp: it {error}.")
