"""The ClientApp: a process for every message, so nothing heavy is imported before it is needed.

It carries orders out itself, under the site's policy; or, where the site has a process of its own for that
(`rumormill site serve`), hands them to it and brings back what it answers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from simulator.core.errors import wrong
from simulator.deployment.breaking_off import broken_off_by_signals, watched
from simulator.deployment.node_folder import NodeFolder
from simulator.deployment.orders import GOSSIP, HELLO, STATISTICS, Content, Within, answered
from simulator.deployment.records import DECLINED, packed, unpacked
from simulator.deployment.site.policy_file import policy_path
from simulator.deployment.site.untold import Untold

app = ClientApp()


@app.query(HELLO)
def hello(message: Message, context: Context) -> Message:
    """Say which node this is, and of which experiment; or that it takes no part, where its site does not allow that."""
    try:
        return _answered(message, context, HELLO, lambda work: work())
    except Untold as error:  # an error would be asked again, as one that may pass
        return Message(packed({DECLINED: str(error)}), reply_to=message)


@app.train(STATISTICS)
def statistics(message: Message, context: Context) -> Message:
    """Agree with all nodes on statistics.

    Raises:
        Untold: the node cannot take part, or was told to end; why stands in its own folder.
    """
    return _answered(message, context, STATISTICS, partial(_watched, context))


@app.train(GOSSIP)
def gossip(message: Message, context: Context) -> Message:
    """A phase: many rounds with the neighbours.

    Raises:
        Untold: the node cannot go on, or was told to end; why stands in its own folder.
    """
    return _answered(message, context, GOSSIP, partial(_watched, context))


def _answered(message: Message, context: Context, word: str, within: Within) -> Message:
    """The reply that the site's gate lets out, whatever becomes of the order."""
    folder, given = _node_folder(context), partial(unpacked, message)
    if folder.socket:
        from simulator.deployment.site.serving.client import handed_over

        content = handed_over(folder, context.run_config, word, given, within)
    else:
        content = answered(folder, policy_path(), context.run_config, word, given, within)
    return Message(packed(content), reply_to=message)


def _watched(context: Context, work: Callable[[], Content]) -> Content:
    """``work``, which ends when this process is told to end, or its run is over."""
    with broken_off_by_signals(), watched(_node_folder(context), context.run_id, context.node_id):
        return work()


def _node_folder(context: Context) -> NodeFolder:
    """A SuperNode is told its folder; a simulated one is told a number, and its run where all folders are."""
    if "folder" in context.node_config:
        return NodeFolder.read(Path(str(context.node_config["folder"])))
    if "partition-id" not in context.node_config:
        raise wrong("node-config", "names no folder.", "Start the SuperNode with start.sh in the node's folder.")
    name = f"node-{context.node_config['partition-id']}"
    return NodeFolder.read(Path(str(context.run_config["folder"])) / "nodes" / name)
