"""Before round 1, at the ServerApp: all nodes agree on statistics, in one attempt that all of them have part in."""

from __future__ import annotations

import time

from simulator.deployment import messenger as flower
from simulator.deployment.messenger import RETRY, Messenger
from simulator.deployment.records import Misshapen, whole
from simulator.deployment.run_manifest import RunManifest

KIND, AGREED = "train.statistics", "agreed"


def have_agreed(messenger: Messenger, manifest: RunManifest) -> None:
    """Have all nodes take part until each has done its part since one of them last failed to.

    One that fails needs the others once more; what they say is the same every time.

    Raises:
        RuntimeError: a node cannot take part, or not all have for longer than a phase lasts.
    """
    done, again = set[int](), dict.fromkeys(range(manifest.nodes), 0.0)
    deadline = time.monotonic() + manifest.phase_timeout + flower.GRACE
    while len(done) < manifest.nodes:
        now = time.monotonic()
        if now > deadline:
            missing = ", ".join(str(node) for node in range(manifest.nodes) if node not in done)
            raise RuntimeError(f"the nodes could not agree on statistics: nodes {missing} have not taken part")
        for node in messenger.nodes:
            if node not in done and node not in messenger.busy and again[node] <= now:
                left = max(0.0, deadline - flower.GRACE - now)
                if not messenger.send(node, KIND, {"seconds": left}, manifest.phase_timeout):
                    again[node] = now + RETRY
        for node, reply, reason in messenger.answers():
            if reply is not None and _has_agreed(node, reply):
                done.add(node)
                continue
            done.clear()
            again[node] = time.monotonic() + RETRY
            print(f"node {node} has not agreed on statistics: {reason or 'it has not heard all'}", flush=True)
        messenger.pause()
    print("all nodes have agreed on statistics", flush=True)


def _has_agreed(node: int, reply: dict[str, object]) -> bool:
    try:
        return bool(whole(reply, AGREED, 0, 1))
    except Misshapen as error:
        raise RuntimeError(f"node {node}: its reply {error}") from error
