"""The ClientApp: a process for every message, so nothing heavy is imported before it is needed."""

from __future__ import annotations

import time
from pathlib import Path

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from simulator.core.errors import RunError, wrong
from simulator.deployment.node_folder import NodeFolder
from simulator.deployment.records import Misshapen, number, packed, sealed, unpacked, whole
from simulator.deployment.run_manifest import RunManifest

app = ClientApp()


@app.query("hello")
def hello(message: Message, context: Context) -> Message:
    """Say which node this is, and of which experiment."""
    return Message(
        packed(_node_folder(context).introduction(RunManifest.read(context.run_config).run)), reply_to=message
    )


@app.train("gossip")
def gossip(message: Message, context: Context) -> Message:
    """The plane p2p: many rounds with the neighbours, without a word to anybody else.

    Raises:
        InputError: this is not the node or the experiment that is asked for, or its keys are not good.
        RunError: it is told what cannot be, training diverged, or a neighbour whose messages are needed is silent.
    """
    from simulator.deployment.phase import take_part

    node_folder, manifest = _node_folder(context), RunManifest.read(context.run_config)
    node_folder.check(manifest)
    try:
        orders = unpacked(message)
        until, left = whole(orders, "until", 0, manifest.rounds), number(orders, "ends") - time.time()
    except Misshapen as error:
        raise _not_followed(node_folder, error) from error
    reached = take_part(node_folder, manifest, until, time.monotonic() + min(left, manifest.phase_timeout))
    return Message(packed({"round": reached}), reply_to=message)


@app.train("relay")
def relay(message: Message, context: Context) -> Message:
    """The plane relay: one exchange of a round, its messages carried by the ServerApp.

    Raises:
        InputError: this is not the node or the experiment that is asked for, or its key is not there.
        RunError: training diverged, or a message that is needed is missing or refused.
    """
    from simulator.deployment.relay import do_exchange

    node_folder, manifest = _node_folder(context), RunManifest.read(context.run_config)
    node_folder.check(manifest)
    try:
        orders = unpacked(message)
        round, mail = whole(orders, "round", 0, manifest.rounds), sealed(orders, "from-")
        exchange = whole({"exchange": 1, **orders}, "exchange", 1, manifest.exchanges)
    except Misshapen as error:
        raise _not_followed(node_folder, error) from error
    return Message(packed(do_exchange(node_folder, manifest, round, mail, exchange)), reply_to=message)


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
