"""The ClientApp: a process for every message, so nothing heavy is imported before it is needed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from simulator.core.errors import RunError, wrong
from simulator.deployment.breaking_off import broken_off_by_signals, watched
from simulator.deployment.leaving import with_departure
from simulator.deployment.node_folder import NodeFolder
from simulator.deployment.records import DECLINED, Misshapen, nodes, number, packed, unpacked, whole
from simulator.deployment.run_manifest import RunManifest
from simulator.deployment.site.gate import Gate
from simulator.deployment.site.policy_file import policy_path
from simulator.deployment.site.untold import Untold, at_the_gate

app = ClientApp()
Work = Callable[[NodeFolder, RunManifest, Gate], Mapping[str, Any]]


@app.query("hello")
def hello(message: Message, context: Context) -> Message:
    """Say which node this is, and of which experiment; or that it takes no part, where its site does not allow that."""
    try:
        return _answered(message, context, lambda node_folder, manifest, gate: node_folder.introduction(manifest.run))
    except Untold as error:  # an error would be asked again, as one that may pass
        return Message(packed({DECLINED: str(error)}), reply_to=message)


@app.train("gossip")
def gossip(message: Message, context: Context) -> Message:
    """Many rounds with the neighbours, without a word to the SuperLink.

    The time that they may take is counted from now on, by this host's own clock.

    Raises:
        Untold: the node cannot go on, or was told to end; why stands in its own folder.
    """

    def work(node_folder: NodeFolder, manifest: RunManifest, gate: Gate) -> Mapping[str, Any]:
        from simulator.deployment.phase import take_part

        node_folder.check(manifest)
        try:
            orders = unpacked(message)
            until, over = whole(orders, "until", 0, manifest.rounds), whole(orders, "over", 0, manifest.rounds)
            seconds, away = number(orders, "seconds"), nodes(orders, "away")
        except Misshapen as error:
            raise _not_followed(node_folder, error) from error
        deadline = time.monotonic() + min(seconds, manifest.phase_timeout)
        with broken_off_by_signals(), watched(node_folder, context.run_id, context.node_id):
            outcome = take_part(node_folder, manifest, gate, until, deadline, away, over)
        reply = {"round": outcome.round, "away": outcome.away, "heard": int(outcome.heard)}
        return with_departure(node_folder, manifest, reply)

    return _answered(message, context, work)


def _answered(message: Message, context: Context, work: Work) -> Message:
    """The reply that the site's gate lets out, whatever becomes of ``work``."""
    node_folder = _node_folder(context)
    with at_the_gate(node_folder) as opened:
        manifest = RunManifest.read(context.run_config)
        gate = opened.gate = Gate(policy_path(), node_folder, manifest)
        content = gate.reply(work(node_folder, manifest, gate))
    return Message(packed(content), reply_to=message)


def _not_followed(node_folder: NodeFolder, error: Misshapen) -> RunError:
    return RunError(f"node {node_folder.node} does not follow an instruction of the ServerApp: it {error}.")


def _node_folder(context: Context) -> NodeFolder:
    """A SuperNode is told its folder; a simulated one is told a number, and its run where all folders are."""
    if "folder" in context.node_config:
        return NodeFolder.read(Path(str(context.node_config["folder"])))
    if "partition-id" not in context.node_config:
        raise wrong("node-config", "names no folder.", "Start the SuperNode with start.sh in the node's folder.")
    name = f"node-{context.node_config['partition-id']}"
    return NodeFolder.read(Path(str(context.run_config["folder"])) / "nodes" / name)
